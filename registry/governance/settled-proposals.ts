// Proposals that were decided, as their certificates tell of them: what becomes of their authors' logs, or of the rules, changes nothing.
import { bodyOf, openEnclosed, toHex } from '../../protocol/index.ts'
import type { EnclosedRecord, OpenedCertificate, RecordBody } from '../../protocol/index.ts'
import type { KnownCommunity } from '../communities.ts'
import { measureProposal, votersInForce } from './apply-decision.ts'
import type { ChainState } from './chain-state.ts'
import { countBallots } from './count-ballots.ts'
import { asOpenProposal, differenceOf } from './due.ts'
import type { Counted } from './due.ts'
import type { SaidOf } from './heard.ts'

export interface SettledProposal {
  readonly said: SaidOf<'proposal/1'>
  /** The community as it was when it decided. */
  readonly before: ChainState
  readonly counted: Counted
  readonly certificate: OpenedCertificate
}

export class SettledProposals {
  /** By certificate id in hex: opening one checks its signatures again. */
  readonly #opened = new Map<string, SettledProposal | undefined>()

  all(community: KnownCommunity): SettledProposal[] {
    return community.chain.certificates().flatMap((certificate) => this.#open(community, certificate) ?? [])
  }

  get(community: KnownCommunity, proposal: Uint8Array): SettledProposal | undefined {
    const settled = community.chain.state.settled.get(toHex(proposal))
    if (settled === undefined) return undefined
    const certificate = community.chain.certificates().find(({ id }) => toHex(id) === toHex(settled.certificate))
    return certificate && this.#open(community, certificate)
  }

  #open(community: KnownCommunity, certificate: OpenedCertificate): SettledProposal | undefined {
    const key = toHex(certificate.id)
    if (!this.#opened.has(key)) this.#opened.set(key, openSettled(community, certificate))
    return this.#opened.get(key)
  }
}

function openSettled({ id, chain }: KnownCommunity, certificate: OpenedCertificate): SettledProposal | undefined {
  const { settled, position } = certificate.decision
  if (settled.kind !== 'proposal') return undefined
  const before = chain.stateAt(position)
  const said = saidIn(settled.proposal, id, 'proposal/1')
  const proposal = asOpenProposal(said)
  const ballots = settled.ballots.map((ballot) => saidIn(ballot, id, 'ballot/1'))
  const receipts = settled.receipts.map((receipt) => saidIn(receipt, id, 'evaluation/1'))
  const counted: Counted = {
    ballots,
    receipts,
    count: countBallots(ballots.map(({ statement }) => statement.body)),
    measurement: measureProposal(before, proposal.action, receipts.map(differenceOf)),
    outcome: settled.outcome,
    voters: votersInForce(before, proposal.membership).size,
  }
  return { said, before, counted, certificate }
}

function saidIn<T extends 'proposal/1' | 'ballot/1' | 'evaluation/1'>(
  enclosed: EnclosedRecord,
  community: Uint8Array,
  type: T,
): SaidOf<T> {
  const record = openEnclosed(enclosed, community)
  const body: RecordBody<T> = bodyOf(record, type)
  const { author, device, index, time } = record.fields
  return { id: record.id, author, device, index, time, statement: { type, body } } as unknown as SaidOf<T>
}
