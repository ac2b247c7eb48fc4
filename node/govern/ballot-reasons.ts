// Which of a voter's remarks on a proposal go with the ballot that counts: none that was said for an earlier one.
import { bytesEqual, toHex } from '../../protocol/index.ts'
import type { RecordEntry, Registry, TalliedBallot, TrailEntry } from '../../registry/index.ts'

/** One remark or ballot on the proposal, by its place in its author's log. */
interface Said {
  readonly author: Uint8Array
  readonly device: Uint8Array
  readonly index: number
  readonly time: number
  readonly what: { readonly choice: string } | { readonly text: string }
}

/** The last thing that the voter said on the proposal after the ballot before this one. */
export function ballotReasons(
  { audit }: Pick<Registry, 'audit'>,
  community: Uint8Array,
  proposal: Uint8Array,
): (ballot: TalliedBallot) => string | undefined {
  const { entries } = audit.trail(community, {
    types: new Set(['ballot', 'comment']),
    about: toHex(proposal),
    limit: Number.MAX_SAFE_INTEGER,
  })
  const said = entries.flatMap((entry) => saidOn(proposal, entry) ?? [])
  return (ballot) => reasonOf(ballot, said)
}

function saidOn(proposal: Uint8Array, entry: TrailEntry): Said | undefined {
  if (entry.kind !== 'record' || entry.mark?.kind === 'void') return undefined
  const what = whatIsSaid(proposal, entry)
  const { author, device, index, time } = entry
  return what && { author, device, index, time, what }
}

function whatIsSaid(proposal: Uint8Array, { effect }: RecordEntry): Said['what'] | undefined {
  if (effect.kind !== 'statement') return undefined
  const { statement } = effect
  if (statement.type !== 'ballot/1' && statement.type !== 'comment/1') return undefined
  return bytesEqual(statement.body.proposal, proposal) ? statement.body : undefined
}

function reasonOf({ voter, choice, time }: TalliedBallot, said: readonly Said[]): string | undefined {
  const voters = said.filter(({ author }) => bytesEqual(author, voter))
  const counted = voters.findLast((one) => one.time === time && 'choice' in one.what && one.what.choice === choice)
  if (counted === undefined) return undefined
  const ofDevice = voters.filter(({ device }) => bytesEqual(device, counted.device))
  const before = ofDevice.findLast(({ what, index }) => 'choice' in what && index < counted.index)?.index ?? -1
  const remark = ofDevice.findLast(({ what, index }) => 'text' in what && index > before)?.what
  return remark !== undefined && 'text' in remark ? remark.text : undefined
}
