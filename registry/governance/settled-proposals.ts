// Proposals that were decided, as their certificates tell of them: what becomes of their authors' logs, or of the rules, changes nothing.
// The chain is gone through once, forwards, and on from there as it grows. Its certificates were checked when they came.
import { bodyOf, readEnclosed, toHex } from '../../protocol/index.ts'
import type { Decision, EnclosedRecord, OpenedCertificate, RecordBody } from '../../protocol/index.ts'
import type { KnownCommunity } from '../communities.ts'
import { applyVerified, measureProposal, votersInForce } from './apply-decision.ts'
import { startOfChain } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'
import type { CommunityChain } from './community-chain.ts'
import { countBallots } from './count-ballots.ts'
import { asOpenProposal, differenceOf } from './due.ts'
import type { Counted } from './due.ts'
import type { SaidOf } from './heard.ts'

export interface SettledProposal {
  readonly said: SaidOf<'proposal/1'>
  /** The community as it was when it decided, as far as counting asks for it. */
  readonly before: ChainState
  readonly counted: Counted
  readonly certificate: OpenedCertificate
}

interface Ledger {
  /** After the last certificate that was read. */
  state: ChainState
  /** By proposal id in hex, in the order in which they were decided. */
  readonly proposals: Map<string, SettledProposal>
}

export class SettledProposals {
  readonly #apply: typeof applyVerified
  readonly #ledgers = new WeakMap<CommunityChain, Ledger>()

  constructor(apply: typeof applyVerified = applyVerified) {
    this.#apply = apply
  }

  all(community: KnownCommunity): SettledProposal[] {
    return [...this.#ledgerOf(community).proposals.values()]
  }

  get(community: KnownCommunity, proposal: Uint8Array): SettledProposal | undefined {
    return this.#ledgerOf(community).proposals.get(toHex(proposal))
  }

  #ledgerOf({ chain, genesis }: KnownCommunity): Ledger {
    let ledger = this.#ledgers.get(chain)
    // What was read may have been outranked since.
    if (ledger === undefined || !chain.holds(ledger.state.length, ledger.state.head)) {
      ledger = { state: startOfChain(genesis), proposals: new Map() }
      this.#ledgers.set(chain, ledger)
    }
    for (const certificate of chain.certificates(ledger.state.length)) this.#read(ledger, certificate)
    return ledger
  }

  #read(ledger: Ledger, certificate: OpenedCertificate): void {
    const applied = this.#apply(ledger.state, certificate)
    if (applied.kind === 'refused') throw new Error(`a certificate of the chain does not follow: ${applied.why}`)
    const settled = settledBy(ledger.state, certificate)
    if (settled !== undefined) ledger.proposals.set(toHex(settled.said.id), settled)
    ledger.state = applied.state
  }
}

function settledBy(before: ChainState, certificate: OpenedCertificate): SettledProposal | undefined {
  const { settled } = certificate.decision
  if (settled.kind !== 'proposal') return undefined
  const said = saidIn(settled.proposal, before.community, 'proposal/1')
  const { membership } = said.statement.body
  return { said, before: forCounting(before, membership), counted: countedIn(before, said, settled), certificate }
}

function countedIn(
  before: ChainState,
  said: SaidOf<'proposal/1'>,
  settled: Extract<Decision['settled'], { readonly kind: 'proposal' }>,
): Counted {
  const proposal = asOpenProposal(said)
  const ballots = settled.ballots.map((ballot) => saidIn(ballot, before.community, 'ballot/1'))
  const receipts = settled.receipts.map((receipt) => saidIn(receipt, before.community, 'evaluation/1'))
  return {
    ballots,
    receipts,
    count: countBallots(ballots.map(({ statement }) => statement.body)),
    measurement: measureProposal(before, proposal.action, receipts.map(differenceOf)),
    outcome: settled.outcome,
    voters: votersInForce(before, proposal.membership).size,
  }
}

/** Members, rules, suites and who could vote. The rest is let go: one copy of all of it per proposal would grow with the chain's square. */
function forCounting(state: ChainState, membership: Uint8Array): ChainState {
  const named = toHex(membership)
  const voters = state.electorates.get(named)
  return {
    ...startOfNothing,
    community: state.community,
    length: state.length,
    head: state.head,
    membership: state.membership,
    rules: state.rules,
    members: state.members,
    suites: state.suites,
    electorates: new Map(voters === undefined ? [] : [[named, voters]]),
  }
}

const startOfNothing = {
  inviters: new Map<string, string>(),
  channels: new Map<string, never>(),
  inForce: new Map<string, never>(),
  withdrawn: new Map<string, string>(),
  settled: new Map<string, never>(),
  usedInvitations: new Set<string>(),
} as const

function saidIn<T extends 'proposal/1' | 'ballot/1' | 'evaluation/1'>(
  enclosed: EnclosedRecord,
  community: Uint8Array,
  type: T,
): SaidOf<T> {
  const record = readEnclosed(enclosed, community)
  const body: RecordBody<T> = bodyOf(record, type)
  const { author, device, index, time } = record.fields
  return { id: record.id, author, device, index, time, statement: { type, body } } as unknown as SaidOf<T>
}
