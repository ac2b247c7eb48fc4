// The objects whose bytes protocol/golden.json pins. `node testing/golden-objects.ts` prints them: a second implementation can
// compare, and a change of the format can't go unnoticed. Keys come from seeds of equal bytes (objects.ts).
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { goldenGovernance } from './golden-governance.ts'
import { aGenesis, aHash, aLog, aManifest, anAuthor, aRootKey, someTimeMs } from './objects.ts'
import {
  baseIdOf,
  buildReleaseTorrent,
  capabilityTopic,
  communityLink,
  communityTopic,
  concatBytes,
  coverLockfile,
  encodeCanonical,
  encodeManifest,
  encodeWireMessage,
  f32Bits,
  identityToText,
  mutableItemBytes,
  personaLink,
  personaTopic,
  releasePieceBytes,
  releaseSalt,
  signDevicesItem,
  signManifest,
  signReleaseItem,
  taggedId,
  toHex,
  tokenizerIdOf,
} from '../protocol/index.ts'
import type { WireMessage } from '../protocol/index.ts'

export function goldenObjects(): Record<string, string> {
  const author = anAuthor(1)
  const release = signManifest(aManifest(), author)
  const infohash = new Uint8Array(20).fill(9)
  const genesis = aGenesis({
    members: [
      { identity: author.identity, role: 'admin' },
      { identity: anAuthor(2).identity, role: 'user' },
    ],
  })
  const log = aLog([
    { type: 'release/1', body: { sealedManifest: release.sealed, infohash } },
    { type: 'withdrawal/1', body: { release: release.releaseId, reason: 'answers were wrong' } },
    {
      type: 'patch/1',
      body: { from: aHash(21), to: aHash(22), sha256: aHash(23), bytes: 512, codec: 'planes-zstd', infohash },
    },
    { type: 'dance/7', bytes: new TextEncoder().encode('nobody knows this type yet') },
  ])
  const communityLog = aLog(
    [
      {
        type: 'job/1',
        body: {
          capability: 'wine-pairing',
          description: 'wine pairing',
          base: { id: aHash(11), label: 'tiny llama' },
          nonce: new Uint8Array(16).fill(3),
        },
      },
    ],
    toHex(genesis.id),
    anAuthor(3),
  )
  const devices = signDevicesItem([author.certificate], 1, aRootKey(1))
  const pointer = signReleaseItem(
    'biology',
    aHash(11),
    { release: release.releaseId, infohash, length: 2, signedAt: someTimeMs, expiresAt: someTimeMs + 7_200_000 },
    author.device,
  )
  const adapter = new Uint8Array(100_000).fill(7)
  const torrent = buildReleaseTorrent({
    manifestBytes: release.sealed.length,
    adapterBytes: adapter.length,
    pieces: pieceHashes(
      concatBytes(release.sealed, adapter),
      releasePieceBytes(release.sealed.length + adapter.length),
    ),
  })
  const logKey = { scope: 'public', author: author.identity, device: author.device.publicKey }
  const topic = communityTopic(genesis.id)
  // Any bytes will do: what they say is checked once they are there.
  const lockfile = encodeCanonical({ format: 'lora-mesh-lockfile/1' })
  const digest = taggedId('lockfile', lockfile)
  const messages: WireMessage[] = [
    { type: 'hello/1', versions: [1], agent: 'lora-mesh', transferKey: aHash(5) },
    { type: 'topics/1', topics: [topic] },
    { type: 'want-genesis/1', topic },
    { type: 'genesis/1', topic, sealed: genesis.sealed },
    { type: 'heads/1', topic, logs: [{ ...logKey, length: log.length, head: log.at(-1)!.id }] },
    { type: 'want-records/1', topic, ...logKey, from: 0, to: 1 },
    {
      type: 'records/1',
      topic,
      ...logKey,
      from: 0,
      records: [{ envelope: log[0]!.envelope, body: log[0]!.body }],
    },
    { type: 'want-lockfile/1', topic: personaTopic(digest) },
    { type: 'lockfile/1', topic: personaTopic(digest), covered: coverLockfile(digest, lockfile) },
    { type: 'want-seeds/1', infohashes: [infohash] },
    { type: 'have-seeds/1', infohashes: [infohash] },
    { type: 'goodbye/1', reason: 'shutting down' },
  ]
  const governance = goldenGovernance(genesis, topic)
  const objects: Record<string, Uint8Array> = {
    canonical: encodeCanonical({ b: [true, false, -33, 128, 65_536, 2 ** 40], a: Uint8Array.of(1), ä: 'text' }),
    'tagged id of "abc" as record-body': taggedId('record-body', new TextEncoder().encode('abc')),
    'root public key': author.identity,
    'device public key': author.device.publicKey,
    certificate: author.certificate,
    manifest: encodeManifest(aManifest()),
    'sealed manifest': release.sealed,
    'release id': release.releaseId,
    'sealed genesis': genesis.sealed,
    'community id': genesis.id,
    'community topic': topic,
    'persona topic of the lockfile': personaTopic(digest),
    'capability topic of biology': capabilityTopic('biology', aHash(11)),
    'devices item, signed bytes': mutableItemBytes(devices),
    'devices item, signature': devices.signature,
    'release salt of biology': releaseSalt('biology', aHash(11)),
    'release item, signed bytes': mutableItemBytes(pointer),
    'release item, signature': pointer.signature,
    'release torrent': torrent.metainfo,
    'release torrent, infohash': torrent.infohash,
    'base id': baseIdOf({
      architecture: 'llama',
      hyperparameters: { block_count: 1, 'attention.layer_norm_rms_epsilon': f32Bits(1e-5), kv: [4, 4] },
      tensors: [
        { name: 'token_embd.weight', shape: [64, 512] },
        { name: 'output_norm.weight', shape: [64] },
      ],
      norms: [{ name: 'output_norm.weight', sha256: aHash(31) }],
    }),
    'tokenizer id': tokenizerIdOf({
      model: 'llama',
      tokens: ['<unk>', '<s>', '▁a'],
      types: [2, 3, 1],
      merges: [],
      scoreBits: [0, 0, f32Bits(-1.5)],
    }),
  }
  objects['decision'] = governance.certificate.bytes
  objects['decision id'] = governance.certificate.id
  objects['certificate of the decision'] = governance.certificate.sealed
  for (const record of [...log, ...communityLog.slice(1), ...governance.records]) {
    objects[`${record.fields.type} record, envelope`] = record.envelope
    objects[`${record.fields.type} record, body`] = record.body
    objects[`${record.fields.type} record, id`] = record.id
  }
  for (const message of [...messages, ...governance.messages])
    objects[`${message.type} frame`] = encodeWireMessage(message)
  return {
    'identity as text': identityToText(author.identity),
    'community link': communityLink(genesis.id),
    'invitation code': governance.code,
    'persona link': personaLink(digest, [author.identity, anAuthor(2).identity]),
    ...Object.fromEntries(Object.entries(objects).map(([name, bytes]) => [name, toHex(bytes)])),
  }
}

/** SHA-1 of every piece, one after the other. */
function pieceHashes(bytes: Uint8Array, pieceBytes: number): Uint8Array {
  const hashes = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
    createHash('sha1')
      .update(bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes))
      .digest(),
  )
  return concatBytes(...hashes)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.stdout.write(`${JSON.stringify(goldenObjects(), null, 1)}\n`)
}
