// Releases that a request names outright, `PUBLISHER/name`, and that no log has told of: the BitTorrent DHT (BEP 44) leads from the
// publisher's key to its devices and from a device key and the name to the newest release. All of it is a hint: what is fetched is judged
// at the door, and a pointer older than one seen before is not followed.
import { setTimeout as wait } from 'node:timers/promises'
import {
  MeshError,
  bytesEqual,
  devicesSalt,
  fromHex,
  identityFromText,
  isMeshError,
  readDevicesItem,
  readReleaseItem,
  releaseSalt,
} from '../protocol/index.ts'
import type { MutableItem, ReleasePointer } from '../protocol/index.ts'
import type { PointerKey } from '../registry/index.ts'
import { extractFacets } from '../resolver/index.ts'
import type { Swarm } from '../swarm/index.ts'
import type { Node } from './create-node.ts'
import { readableItems } from './pointer-items.ts'
import { bothFetches, fetchSummary, nothingFetched } from './fetch-releases.ts'
import type { FetchSummary } from './fetch-releases.ts'
import type { CallContext } from './http/index.ts'

const PATIENCE_MS = 10_000
const PAUSE_MS = 500

interface NamedRelease {
  readonly publisher: string
  readonly name: string
}

/** Afterwards the catalogue knows every named release that could be found and passed the door. Returns what that took. */
export async function locateNamedReleases(node: Node, text: string, context: CallContext): Promise<FetchSummary> {
  const base = node.bases.current()
  if (base === undefined || !node.options.config.network.bep44) return nothingFetched
  let located = nothingFetched
  for (const { publisher, name } of namedReleases(text)) {
    if (isKnown(node, publisher, name)) continue
    context.emit({ type: 'note', text: `Looking for ${publisher.slice(0, 8)}…/${name} in the DHT ...` })
    const pointer = await findPointer(
      node,
      { publisher: identityFromText(publisher), name, baseId: fromHex(base.id) },
      context.signal,
    )
    if (pointer === undefined) continue
    if (pointer.expiresAt < node.options.clock()) {
      context.emit({
        type: 'note',
        text: `The pointer to ${name} is stale: its publisher has not renewed it since ${new Date(pointer.signedAt).toISOString()}.`,
      })
    }
    const wanted = { releaseId: pointer.release, infohash: pointer.infohash, label: `${publisher.slice(0, 8)}/${name}` }
    const since = performance.now()
    const fetched = await node.fetcher.fetch(wanted, base, context)
    const { release } = fetched
    if (!bytesEqual(release.signed.manifest.publisher, identityFromText(publisher))) {
      throw new MeshError('bad-signature', `The pointer of ${publisher} leads to a release of somebody else.`, {
        publisher,
      })
    }
    node.registry.noteRelease(release.signed, pointer.infohash, 'pointer')
    located = bothFetches(located, fetchSummary([fetched], performance.now() - since))
  }
  return located
}

function namedReleases(text: string): NamedRelease[] {
  const facets = extractFacets(text, { names: new Set(), qualifiedNames: new Set() })
  return facets.flatMap(({ exact }) =>
    exact?.publisher === undefined ? [] : [{ publisher: exact.publisher, name: exact.name }],
  )
}

function isKnown(node: Node, publisher: string, name: string): boolean {
  const identity = identityFromText(publisher)
  return node.registry
    .catalogue({ anyPublisher: true })
    .some((entry) => bytesEqual(entry.publisher, identity) && entry.manifest.name === name)
}

/** The newest pointer any device of the publisher has signed, asked for until one is found or patience ends. */
async function findPointer(node: Node, key: PointerKey, signal: AbortSignal): Promise<ReleasePointer | undefined> {
  const swarm = await node.network.start()
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const found = await lookUp(node, swarm, key, signal)
    if (found !== undefined || performance.now() >= deadline) return found
    await pause(PAUSE_MS, signal)
  }
}

async function lookUp(
  node: Node,
  swarm: Swarm,
  key: PointerKey,
  signal: AbortSignal,
): Promise<ReleasePointer | undefined> {
  const lists = readableItems(
    await swarm.getPointers(key.publisher, devicesSalt, signal),
    key.publisher,
    devicesSalt,
    readDevicesItem,
  )
  const [devices] = lists
  if (devices === undefined) return undefined
  const salt = releaseSalt(key.name, key.baseId)
  for (const { device } of devices.value) {
    for (const { item, value } of readableItems(
      await swarm.getPointers(device, salt, signal),
      device,
      salt,
      readReleaseItem,
    )) {
      if (remembered(node, key, item)) return value
    }
  }
  const seen = node.registry.pointer(key)
  return seen === undefined ? undefined : readReleaseItem({ ...seen, salt })
}

/** False for an item older than one seen before: whoever shows it wants this node back in time. */
function remembered(node: Node, key: PointerKey, item: MutableItem): boolean {
  try {
    node.registry.rememberPointer(key, item)
    return true
  } catch (error) {
    if (isMeshError(error, 'stale')) return false
    throw error
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
