// A decision of a community, and the certificate that proves it: everything it rests on is inside (ballots, receipts, invitations, and the
// delegates' signatures), so that anybody can check it again, whatever became of its signers' logs since. Certificates form one chain per
// community. Whether a decision may follow the chain is the fold's business (registry/); here is only what one is.
import { z } from 'zod'
import { bytesEqual, compareBytes, toHex } from './bytes.ts'
import { encodeCanonical } from './canonical.ts'
import { MeshError } from './errors.ts'
import { count, decodeAs, encodeObject, hash, publicKey, signature, someBytes, timeMs } from './fields.ts'
import { electorateSchema } from './governance-bodies.ts'
import { issuedCertificate, verifyDeviceCertificate } from './identity.ts'
import { limits } from './limits.ts'
import { readBody } from './record-bodies.ts'
import type { RecordBody, RecordType } from './record-bodies.ts'
import { readRecord, verifyRecord } from './record.ts'
import type { SignedRecord, VerifiedRecord } from './record.ts'
import { keyPairFromSeed, signBytes, taggedId, verifyBytes } from './signing.ts'

/**
 * A record without what its place in a decision says already, with its device's certificate instead:
 * [author, device, certified at, certificate's signature, index, previous, time, type, body, signature].
 */
const enclosedSchema = z.tuple([
  publicKey,
  publicKey,
  timeMs,
  signature,
  count,
  hash,
  timeMs,
  z.string().max(36),
  someBytes(limits.recordBodyMaxBytes),
  signature,
])

export type EnclosedRecord = z.infer<typeof enclosedSchema>

const settledSchema = z.discriminatedUnion('kind', [
  /** A proposal was counted. */
  z.strictObject({
    kind: z.literal('proposal'),
    proposal: enclosedSchema,
    /** One per member who voted, sorted by author. */
    ballots: z.array(enclosedSchema).max(limits.membersMax),
    /** Evaluations that say what the proposed release is worth: at most one per member, sorted by author. */
    receipts: z.array(enclosedSchema).max(limits.receiptsPerDecisionMax),
    outcome: z.enum(['accepted', 'rejected', 'no-quorum', 'measured-loser']),
  }),
  /** Invited people come in, members who said so leave: nothing to vote on. */
  z.strictObject({
    kind: z.literal('roll'),
    joins: z.array(z.strictObject({ invite: enclosedSchema, join: enclosedSchema })).max(64),
    leaves: z.array(enclosedSchema).max(64),
  }),
])

const decisionSchema = z.strictObject({
  format: z.literal(1),
  community: hash,
  /** The certificate before this one, or the community's id. */
  previous: hash,
  /** 0 for the first of a community. */
  position: count,
  /** `subjectId` of what it decides about. */
  subject: hash,
  /** The accepted certificate in force on that subject until now, or 32 zero bytes. */
  replaces: hash,
  /** The certificate that made the members in force now, or the community's id. */
  membership: hash,
  electorate: electorateSchema,
  settled: settledSchema,
})

export type Decision = z.infer<typeof decisionSchema>
export type Outcome = Extract<Decision['settled'], { kind: 'proposal' }>['outcome']

const certificateSchema = z.strictObject({
  format: z.literal(1),
  decision: someBytes(limits.decisionMaxBytes),
  /** The delegates' precommits for it, all of one round, sorted by author. */
  precommits: z.array(enclosedSchema).min(1).max(limits.membersMax),
})

export interface OpenedDecision {
  /** 32 bytes; also the id of its certificate, whoever's signatures that holds. */
  readonly id: Uint8Array
  readonly decision: Decision
  readonly bytes: Uint8Array
}

/** A certificate before any signature under it was checked: whose they are said to be. */
export interface ClaimedCertificate extends OpenedDecision {
  /** Identities, each once. */
  readonly signers: readonly Uint8Array[]
}

export interface OpenedCertificate extends ClaimedCertificate {
  readonly precommits: readonly VerifiedRecord[]
  readonly sealed: Uint8Array
}

export function encodeDecision(decision: Decision): OpenedDecision {
  return openDecision(encodeObject(decision))
}

/** Form only; see `openEnclosed` for what is in it. Throws `too-large`, `malformed` or `not-canonical`. */
export function openDecision(bytes: Uint8Array): OpenedDecision {
  const decision = decodeAs('decision', decisionSchema, bytes, limits.decisionMaxBytes, 'malformed')
  return { id: taggedId('decision', bytes), decision, bytes }
}

/** `precommits` in any order. */
export function sealCertificate(decision: OpenedDecision, precommits: readonly EnclosedRecord[]): OpenedCertificate {
  return openCertificate(encodeObject({ format: 1, decision: decision.bytes, precommits: sortedByAuthor(precommits) }))
}

/**
 * Checks every signature under it: each precommit is one of the certified device, in this community, for this decision, and all are of
 * one round and electorate. That the signers are delegates, and enough of them, is for the fold to say. Throws `malformed`,
 * `bad-signature`, `bad-certificate`.
 */
export function openCertificate(sealed: Uint8Array): OpenedCertificate {
  const parts = decodeCertificate(sealed)
  const opened = openDecision(parts.decision)
  requireSorted(parts.precommits)
  const precommits = parts.precommits.map((enclosed) => openEnclosed(enclosed, opened.decision.community))
  let round: number | undefined
  for (const record of precommits) {
    const body = bodyOf(record, 'precommit/1')
    round ??= body.round
    const fits =
      body.decision !== undefined &&
      bytesEqual(body.decision, opened.id) &&
      bytesEqual(body.previous, opened.decision.previous) &&
      body.electorate === opened.decision.electorate &&
      body.round === round
    if (!fits) throw new MeshError('malformed', 'A signature in this certificate is for another decision or round.')
  }
  return { ...opened, signers: parts.precommits.map(([author]) => author), precommits, sealed }
}

/** Form only: what makes `openCertificate` worth its price, or not. Throws `too-large`, `malformed` or `not-canonical`. */
export function readClaimedCertificate(sealed: Uint8Array): ClaimedCertificate {
  const { decision, precommits } = decodeCertificate(sealed)
  requireSorted(precommits)
  return { ...openDecision(decision), signers: precommits.map(([author]) => author) }
}

function decodeCertificate(sealed: Uint8Array) {
  return decodeAs('certificate', certificateSchema, sealed, limits.communityCertificateMaxBytes, 'malformed')
}

/** A record as it is put into a decision, with the certificate from its log's opening. */
export function encloseRecord(record: VerifiedRecord, deviceCertificate: Uint8Array): EnclosedRecord {
  const { author, device, index, previous, time, type, signature: signed } = record.fields
  const certificate = verifyDeviceCertificate(deviceCertificate)
  return [
    author,
    device,
    certificate.createdAt,
    certificate.signature,
    index,
    previous,
    time,
    type,
    record.body,
    signed,
  ]
}

/** The record again, its signature and its device's certificate checked. Throws `bad-signature`, `bad-certificate`, `malformed`. */
export function openEnclosed(enclosed: EnclosedRecord, community: Uint8Array): VerifiedRecord {
  const [author, device, certifiedAt, certified] = enclosed
  verifyDeviceCertificate(issuedCertificate({ identity: author, device, createdAt: certifiedAt, signature: certified }))
  return verifyRecord(signedRecordIn(enclosed, community))
}

/**
 * The same record without a look at its signatures, at a fraction of the price: for decisions that went through `openEnclosed` before they
 * were kept. Never believe what it says of bytes that somebody sent. Throws `malformed`.
 */
export function readEnclosed(enclosed: EnclosedRecord, community: Uint8Array): VerifiedRecord {
  return readRecord(signedRecordIn(enclosed, community))
}

function signedRecordIn(enclosed: EnclosedRecord, community: Uint8Array): SignedRecord {
  const [author, device, , , index, previous, time, type, body, signed] = enclosed
  const envelope = encodeObject({
    format: 1,
    scope: toHex(community),
    author,
    device,
    index,
    previous,
    type,
    time,
    bodyHash: taggedId('record-body', body),
    signature: signed,
  })
  return { envelope, body }
}

/** The body of a record that must be of this type. Throws `malformed`. */
export function bodyOf<T extends RecordType>(record: VerifiedRecord, type: T): RecordBody<T> {
  const read = readBody(record)
  if (read.type !== type) throw new MeshError('malformed', `A record in this decision is no ${type}.`)
  return read.body as RecordBody<T>
}

export function sortedByAuthor(records: readonly EnclosedRecord[]): EnclosedRecord[] {
  return records.toSorted((a, b) => compareBytes(a[0], b[0]))
}

/** Throws `malformed` unless authors rise: nobody is counted twice. */
export function requireSorted(records: readonly EnclosedRecord[]): void {
  for (const [i, record] of records.entries()) {
    if (i > 0 && compareBytes(records[i - 1]![0], record[0]) >= 0) {
      throw new MeshError('malformed', 'The records of this decision are not sorted, or an author is in it twice.')
    }
  }
}

/** What a decision is about: one channel, or who the members are and by which rules they decide. */
export type Subject =
  | { readonly kind: 'channel'; readonly capability: string; readonly base: Uint8Array }
  | { readonly kind: 'membership' }

export function subjectId(subject: Subject): Uint8Array {
  return taggedId(
    'subject',
    encodeCanonical(subject.kind === 'channel' ? ['channel', subject.capability, subject.base] : ['membership']),
  )
}

/** The signature of a join, by the invitation's key. */
export function signJoin(
  community: Uint8Array,
  identity: Uint8Array,
  seed: Uint8Array,
): { key: Uint8Array; signature: Uint8Array } {
  const pair = keyPairFromSeed(invitationSeed(seed))
  return { key: pair.publicKey, signature: signBytes('invitation', joinBytes(community, identity), pair.secretKey) }
}

export function joinIsSigned(
  community: Uint8Array,
  identity: Uint8Array,
  join: { readonly key: Uint8Array; readonly signature: Uint8Array },
): boolean {
  return verifyBytes('invitation', joinBytes(community, identity), join.signature, join.key)
}

/** The public half of the key in an invitation code. `seed`: the code's 16 bytes. */
export function invitationKey(seed: Uint8Array): Uint8Array {
  return keyPairFromSeed(invitationSeed(seed)).publicKey
}

function invitationSeed(seed: Uint8Array): Uint8Array {
  return taggedId('invitation-key', seed)
}

function joinBytes(community: Uint8Array, identity: Uint8Array): Uint8Array {
  return encodeObject({ community, identity })
}
