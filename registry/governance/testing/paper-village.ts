// A community on paper: its members' logs, decisions and certificates are made here by hand, with real keys and signatures, so that a test
// can also make those that no honest node would.
import {
  createRecord,
  defaultRules,
  encloseRecord,
  encodeBody,
  encodeDecision,
  noPrevious,
  sealCertificate,
  sha256,
  signJoin,
  sortedByAuthor,
  subjectId,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import type {
  Author,
  CommunityRole,
  CommunityRules,
  Decision,
  EnclosedRecord,
  OpenedCertificate,
  OpenedDecision,
  OpenedGenesis,
  Outcome,
  ProposedAction,
  RecordBody,
  RecordType,
  VerifiedRecord,
} from '../../../protocol/index.ts'
import { aGenesis, someTimeMs } from '../../../testing/objects.ts'
import { anAuthor, baseA } from '../../testing/builders.ts'
import { applyCertificate } from '../apply-decision.ts'
import type { Applied } from '../apply-decision.ts'
import { delegatesOf, inForceOn, startOfChain, subjectOf } from '../chain-state.ts'
import type { ChainState, Member } from '../chain-state.ts'
import type { Choice } from '../count-ballots.ts'

export type Names = Readonly<Record<string, CommunityRole>>

export function aRelease(name: string): Uint8Array {
  return sha256(utf8(`release ${name}`))
}

export function upgradeTo(release: string, current?: string): Extract<ProposedAction, { kind: 'upgrade' }> {
  return {
    kind: 'upgrade',
    capability: 'biology',
    base: baseA,
    release: aRelease(release),
    ...(current === undefined ? {} : { current: aRelease(current) }),
  }
}

export interface Receipt {
  readonly by: string
  /** Proposed minus current, in millionths. */
  readonly difference: number
  readonly standardError: number
}

export interface CountOptions {
  readonly receipts?: readonly EnclosedRecord[]
  readonly outcome?: Outcome
  /** What the decision says wrongly. */
  readonly lies?: Partial<Decision>
}

export interface SigningOptions {
  readonly round?: number
  /** Who signs; the delegates when absent. */
  readonly by?: readonly string[]
  /** What the signatures say wrongly. */
  readonly lies?: Partial<RecordBody<'precommit/1'>>
}

export class PaperVillage {
  readonly genesis: OpenedGenesis
  state: ChainState
  readonly certificates: OpenedCertificate[] = []
  readonly #logs = new Map<string, VerifiedRecord[]>()
  readonly #names = new Map<string, string>()
  readonly #authors = new Map<string, Author>()

  constructor(names: Names, rules: Partial<CommunityRules> = {}, nonce = 7) {
    const members = Object.entries(names).map(([name, role]) => ({ identity: this.author(name).identity, role }))
    const [founder] = Object.keys(names)
    if (founder === undefined) throw new Error('a village without people')
    const facts = { members, rules: { ...defaultRules, ...rules }, nonce: new Uint8Array(16).fill(nonce) }
    this.genesis = aGenesis(facts, anAuthor(founder))
    this.state = startOfChain(this.genesis)
  }

  get scope(): string {
    return toHex(this.genesis.id)
  }

  /** Everything anybody said. */
  get records(): VerifiedRecord[] {
    return [...this.#logs.values()].flat()
  }

  /** Names of the members in force, sorted. */
  get members(): string[] {
    return [...this.state.members.keys()].map((identity) => this.#nameOf(identity)).toSorted()
  }

  member(name: string): Member {
    const member = this.state.members.get(toHex(this.author(name).identity))
    if (member === undefined) throw new Error(`${name} is no member`)
    return member
  }

  author(name: string): Author {
    let author = this.#authors.get(name)
    if (author === undefined) {
      author = anAuthor(name)
      this.#authors.set(name, author)
      this.#names.set(toHex(author.identity), name)
    }
    return author
  }

  /** Appends to the author's log in this community. */
  says<T extends RecordType>(name: string, type: T, body: RecordBody<T>): VerifiedRecord {
    const author = this.author(name)
    const log = this.#logs.get(name) ?? []
    this.#logs.set(name, log)
    const append = (type: RecordType, body: Uint8Array): VerifiedRecord => {
      const draft = { scope: this.scope, index: log.length, previous: log.at(-1)?.id ?? noPrevious, type, body }
      const record = createRecord({ ...draft, time: someTimeMs + log.length }, author)
      log.push(record)
      return record
    }
    if (log.length === 0) append('log/1', encodeBody('log/1', { certificate: author.certificate }))
    return append(type, encodeBody(type, body))
  }

  enclose(record: VerifiedRecord, name: string): EnclosedRecord {
    return encloseRecord(record, this.author(name).certificate)
  }

  enclosed<T extends RecordType>(name: string, type: T, body: RecordBody<T>): EnclosedRecord {
    return this.enclose(this.says(name, type, body), name)
  }

  proposal(name: string, action: ProposedAction, lies: Partial<RecordBody<'proposal/1'>> = {}): Proposed {
    const replaces = inForceOn(this.state, subjectOf(action))
    const body = { action, membership: this.state.membership, replaces, ...lies }
    const record = this.says(name, 'proposal/1', body)
    return { record, enclosed: this.enclose(record, name), action }
  }

  ballots(proposal: Proposed, choices: Readonly<Record<string, Choice>>): EnclosedRecord[] {
    return Object.entries(choices).map(([name, choice]) =>
      this.enclosed(name, 'ballot/1', { proposal: proposal.record.id, choice }),
    )
  }

  receipts(
    proposal: Proposed,
    measured: readonly Receipt[],
    lies: Partial<RecordBody<'evaluation/1'>> = {},
  ): EnclosedRecord[] {
    const { action } = proposal
    if (action.kind !== 'upgrade') throw new Error('only upgrades are measured')
    return measured.map(({ by, difference, standardError }) =>
      this.enclosed(by, 'evaluation/1', {
        release: action.release,
        ...(action.current === undefined ? {} : { against: action.current }),
        suite: this.state.suites.get(action.capability) ?? sha256(utf8('no suite')),
        file: sha256(utf8('base file')),
        metric: 'accuracy',
        value: 500_000 + difference,
        againstValue: 500_000,
        n: 100,
        valueError: 1,
        standardError,
        ...lies,
      }),
    )
  }

  /** A decision that counts these ballots. */
  counted(proposal: Proposed, ballots: readonly EnclosedRecord[], options: CountOptions = {}): OpenedDecision {
    return this.decision(subjectId(subjectOf(proposal.action)), {
      settled: {
        kind: 'proposal',
        proposal: proposal.enclosed,
        ballots: sortedByAuthor(ballots),
        receipts: sortedByAuthor(options.receipts ?? []),
        outcome: options.outcome ?? 'accepted',
      },
      replaces: inForceOn(this.state, subjectOf(proposal.action)),
      ...options.lies,
    })
  }

  roll(
    joins: readonly { readonly invite: EnclosedRecord; readonly join: EnclosedRecord }[],
    leaves: readonly EnclosedRecord[] = [],
    lies: Partial<Decision> = {},
  ): OpenedDecision {
    const subject = { kind: 'membership' } as const
    return this.decision(subjectId(subject), {
      settled: { kind: 'roll', joins: [...joins], leaves: [...leaves] },
      replaces: inForceOn(this.state, subject),
      ...lies,
    })
  }

  decision(subject: Uint8Array, rest: Pick<Decision, 'settled' | 'replaces'> & Partial<Decision>): OpenedDecision {
    return encodeDecision({
      format: 1,
      community: this.genesis.id,
      previous: this.state.head,
      position: this.state.length,
      membership: this.state.membership,
      electorate: 'admins',
      subject,
      ...rest,
    })
  }

  invitation(
    inviter: string,
    guest: string,
    role: CommunityRole = 'user',
  ): { readonly invite: EnclosedRecord; readonly join: EnclosedRecord } {
    const seed = sha256(utf8(`${inviter} invites ${guest} ${this.state.length}`)).slice(0, 16)
    const join = signJoin(this.genesis.id, this.author(guest).identity, seed)
    return {
      invite: this.enclosed(inviter, 'invite/1', { key: join.key, role }),
      join: this.enclosed(guest, 'join/1', join),
    }
  }

  signed(decision: OpenedDecision, options: SigningOptions = {}): OpenedCertificate {
    return sealCertificate(decision, this.precommits(decision, options))
  }

  precommits(decision: OpenedDecision, { round = 0, by, lies = {} }: SigningOptions = {}): EnclosedRecord[] {
    const { previous, electorate } = decision.decision
    const body = { previous, electorate, round, decision: decision.id, ...lies }
    return (by ?? this.delegates()).map((name) => this.enclosed(name, 'precommit/1', body))
  }

  delegates(): string[] {
    return delegatesOf(this.state, 'admins').map((identity) => this.#nameOf(identity))
  }

  /** What becomes of a decision that all delegates sign. */
  tried(decision: OpenedDecision): Applied {
    return applyCertificate(this.state, this.signed(decision))
  }

  /** Takes a decision, all delegates' signatures under it, as the next one; throws with the reason when it does not follow. */
  settle(decision: OpenedDecision, options: SigningOptions = {}): OpenedCertificate {
    const certificate = this.signed(decision, options)
    const applied = applyCertificate(this.state, certificate)
    if (applied.kind === 'refused') throw new Error(applied.why)
    this.state = applied.state
    this.certificates.push(certificate)
    return certificate
  }

  /** Everybody votes yes, in this order of saying it. */
  accept(by: string, action: ProposedAction, receipts: readonly Receipt[] = []): OpenedCertificate {
    const proposal = this.proposal(by, action)
    const everybody = Object.fromEntries(this.members.map((name) => [name, 'yes' as const]))
    const measured = receipts.length === 0 ? [] : this.receipts(proposal, receipts)
    return this.settle(this.counted(proposal, this.ballots(proposal, everybody), { receipts: measured }))
  }

  join(inviter: string, guest: string, role: CommunityRole = 'user'): OpenedCertificate {
    return this.settle(this.roll([this.invitation(inviter, guest, role)]))
  }

  #nameOf(identity: string): string {
    const name = this.#names.get(identity)
    if (name === undefined) throw new Error('somebody whose name was never said')
    return name
  }
}

export interface Proposed {
  readonly record: VerifiedRecord
  readonly enclosed: EnclosedRecord
  readonly action: ProposedAction
}
