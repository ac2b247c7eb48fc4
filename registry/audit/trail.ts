// The audit trail: who did what, when, in the order in which it was done as far as anybody can know. Times are what authors state. They only
// sort: within a log, and among certificates, the order is the signed one whatever the times say.
import { bytesEqual, identityToText, toHex } from '../../protocol/index.ts'
import type { Governance } from '../governance/governance.ts'
import { isAbout } from './about.ts'
import type { Known } from './about.ts'
import { certificateEntries, logsInOrder, recordsOf } from './gather.ts'
import type { Held } from './gather.ts'
import { isStep, trailType } from './trail-entry.ts'
import type { CertificateEntry, RecordEntry, TrailEntry } from './trail-entry.ts'

export interface TrailFilter {
  /** The beginning of an identity. Of certificates: one of its signers. */
  readonly by?: string | undefined
  /** Such as `ballot`, or `certificate`. */
  readonly types?: ReadonlySet<string> | undefined
  /** NAME, NAME@VERSION, PUBLISHER/NAME@VERSION, or the first digits of a release's, proposal's or record's id. */
  readonly about?: string | undefined
  /** In milliseconds since 1970, inclusive. */
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
  /** Also the steps of the delegates' agreement. Those that are void, or asked for by type, are there in any case. */
  readonly steps?: boolean | undefined
  readonly limit: number
}

export interface Trail {
  /** Newest last. */
  readonly entries: readonly TrailEntry[]
  /** How many more there are that fit, all of them older. */
  readonly older: number
  /** Steps of the delegates' agreement that fit and are not among them. */
  readonly stepsHidden: number
}

export interface TrailSource extends Held, Known {
  readonly governance: Pick<Governance, 'tally' | 'heard'>
}

export function readTrail(source: TrailSource, filter: TrailFilter): Trail {
  const fitting: Placed[] = []
  let stepsHidden = 0
  for (const placed of placedEntries(source)) {
    if (!fits(placed.entry, filter, source)) continue
    if (isShown(placed.entry, filter)) fitting.push(placed)
    else stepsHidden++
  }
  const sorted = fitting.toSorted((a, b) => comparePlaces(a.place, b.place)).map(({ entry }) => entry)
  const entries = markLeftOut(source, sorted.slice(-filter.limit))
  return { entries, older: sorted.length - entries.length, stepsHidden }
}

interface Placed {
  readonly entry: TrailEntry
  readonly place: Place
}

/** Never before that of what stands before it in its log, or of the proposal that it is about. */
interface Place {
  readonly time: number
  /** Of what was said in the same millisecond. */
  readonly rank: number
}

function* placedEntries(source: TrailSource): Generator<Placed> {
  for (const log of logsInOrder(source)) yield* inPlace(recordsOf(source, log), source)
  yield* inPlace(certificateEntries(source.community), source)
}

function* inPlace(entries: Iterable<TrailEntry>, known: Known): Generator<Placed> {
  let place: Place = { time: 0, rank: 0 }
  for (const entry of entries) {
    const next = { time: Math.max(entry.time, proposedAt(entry, known)), rank: rankOf(entry) }
    if (comparePlaces(next, place) > 0) place = next
    yield { entry, place }
  }
}

function comparePlaces(a: Place, b: Place): number {
  return a.time - b.time || a.rank - b.rank
}

/** What others answer comes first. */
function rankOf(entry: TrailEntry): number {
  const at = ['log', 'release', 'suite', 'proposal'].indexOf(trailType(entry))
  if (at >= 0) return at
  return entry.kind === 'certificate' ? 6 : isStep(entry) ? 5 : 4
}

/** When the proposal that it answers was made, as far as one knows. */
function proposedAt(entry: TrailEntry, known: Known): number {
  const proposal = entry.kind === 'certificate' ? settledTime(entry) : undefined
  if (proposal !== undefined) return proposal
  if (entry.kind !== 'record' || entry.effect.kind !== 'statement') return 0
  const { statement } = entry.effect
  if (statement.type !== 'ballot/1' && statement.type !== 'comment/1') return 0
  return known.proposal(statement.body.proposal)?.time ?? 0
}

function settledTime({ certificate }: CertificateEntry): number | undefined {
  const { settled } = certificate.decision
  if (settled.kind === 'roll') return undefined
  const [, , , , , , time] = settled.proposal
  return time
}

function fits(entry: TrailEntry, { by, types, about, sinceMs, untilMs }: TrailFilter, known: Known): boolean {
  if (sinceMs !== undefined && entry.time < sinceMs) return false
  if (untilMs !== undefined && entry.time > untilMs) return false
  if (types !== undefined && !types.has(trailType(entry))) return false
  if (by !== undefined && !signersOf(entry).some((signer) => identityToText(signer).startsWith(by))) return false
  return about === undefined || isAbout(entry, about, known)
}

function isShown(entry: TrailEntry, { steps, types }: TrailFilter): boolean {
  if (!isStep(entry) || steps === true || types !== undefined) return true
  return entry.kind === 'record' && entry.mark !== undefined
}

function signersOf(entry: TrailEntry): readonly Uint8Array[] {
  if (entry.kind === 'record') return [entry.author]
  return entry.certificate.precommits.map(({ fields }) => fields.author)
}

/** Marks ballots that were here in time and that no delegate counted. */
function markLeftOut(source: TrailSource, entries: readonly TrailEntry[]): TrailEntry[] {
  const leftOutOf = new Map<string, LeftOut | undefined>()
  return entries.map((entry) => {
    const ballot = ballotOf(entry)
    if (ballot === undefined) return entry
    const proposal = toHex(ballot.proposal)
    if (!leftOutOf.has(proposal)) leftOutOf.set(proposal, leftOut(source, ballot.proposal))
    const found = leftOutOf.get(proposal)
    if (found === undefined || !found.ballots.some((other) => isBallot(ballot, other))) return entry
    return { ...ballot.entry, mark: { kind: 'left-out', certificate: found.certificate } }
  })
}

interface Ballot {
  readonly entry: RecordEntry
  readonly proposal: Uint8Array
  readonly choice: string
}

function ballotOf(entry: TrailEntry): Ballot | undefined {
  if (entry.kind !== 'record' || entry.mark !== undefined || entry.effect.kind !== 'statement') return undefined
  const { statement } = entry.effect
  return statement.type === 'ballot/1' ? { entry, ...statement.body } : undefined
}

type LeftOutBallot = ReturnType<Governance['tally']>['leftOut'][number]

interface LeftOut {
  readonly certificate: Uint8Array
  readonly ballots: readonly LeftOutBallot[]
}

function leftOut({ community, governance }: TrailSource, proposal: Uint8Array): LeftOut | undefined {
  const settled = community.chain.state.settled.get(toHex(proposal))
  // The certificate may have come before the proposal's log did.
  if (settled === undefined || !governance.heard(community).proposals.has(toHex(proposal))) return undefined
  return { certificate: settled.certificate, ballots: governance.tally(community.id, proposal).leftOut }
}

function isBallot({ entry, choice }: Ballot, other: LeftOutBallot): boolean {
  return bytesEqual(entry.author, other.voter) && choice === other.choice && entry.time === other.time
}
