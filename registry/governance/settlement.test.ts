// One delegate's part in the agreement: what it reads of what others say, and what becomes of it when nothing can be stored.
import { describe, expect, test } from 'vitest'
import { MeshError, toHex, utf8 } from '../../protocol/index.ts'
import type { Electorate, OpenedCertificate, OpenedDecision } from '../../protocol/index.ts'
import { ManualClock } from '../clock.ts'
import type { Said } from '../fold-community.ts'
import { Enclosing } from './enclosing.ts'
import { Settlement } from './settlement.ts'
import type { StepRecord } from './settling-instance.ts'
import { Desk } from './testing/desk.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'
import type { Names, Proposed } from './testing/paper-village.ts'
import { hourMs } from './testing/village.ts'

const votingPeriodMs = 24 * hourMs
const paceMs = 3_000

/** Counts proposed decisions that were read. */
class CountedEnclosing extends Enclosing {
  reads = 0

  override record(said: Said) {
    if (said.statement.type === 'round/1') this.reads++
    return super.record(said)
  }
}

/** The delegate of a paper village whose turn comes `turn`-th, with a real clock face, log and desk. */
class Delegate implements Disposable {
  readonly village: PaperVillage
  readonly clock: ManualClock
  readonly signed: StepRecord[] = []
  readonly certificates: OpenedCertificate[] = []
  readonly failures: unknown[] = []
  /** How often in a row nothing can be written from now on. */
  fullDisks = 0
  readonly #enclosing: CountedEnclosing
  readonly #desk: Desk
  readonly #settlement: Settlement

  constructor(village: PaperVillage, turn: number, startMs: number) {
    const name = inTurn(village)[turn]!
    this.village = village
    this.clock = new ManualClock(startMs)
    this.#desk = new Desk(village)
    this.#enclosing = new CountedEnclosing(this.#desk.store, village.scope)
    this.#settlement = new Settlement({
      clock: this.clock,
      self: toHex(village.author(name).identity),
      paceMs,
      now: () => ({ ...this.#desk.now(this.clock.now()), enclosing: this.#enclosing }),
      allowed: () => true,
      sign: (record) => {
        this.#write()
        village.says(name, record.type, record.body as never)
        this.signed.push(record)
      },
      onCertificate: (certificate) => {
        this.#write()
        this.certificates.push(certificate)
      },
      onMisbehaved: () => undefined,
      onFailure: (error) => this.failures.push(error),
    })
  }

  get reads(): number {
    return this.#enclosing.reads
  }

  consider(): void {
    this.#settlement.consider()
  }

  [Symbol.dispose](): void {
    this.#settlement[Symbol.dispose]()
    this.#desk[Symbol.dispose]()
  }

  #write(): void {
    if (this.fullDisks === 0) return
    this.fullDisks--
    throw new MeshError('disk-full', 'The disk is full.')
  }
}

function inTurn(village: PaperVillage, names = village.delegates()): string[] {
  const hex = (name: string): string => toHex(village.author(name).identity)
  return names.toSorted((a, b) => (hex(a) < hex(b) ? -1 : 1))
}

function propose(village: PaperVillage, name: string, round: number, decision: Uint8Array, electorate: Electorate) {
  village.says(name, 'round/1', { previous: village.state.head, electorate, round, decision })
}

/** A proposal on which two voted, so that nothing is decided before the deadline, and what is to be decided then. */
function votedOn(village: PaperVillage): { proposal: Proposed; decision: OpenedDecision; saidAt: number } {
  const proposal = village.proposal('alice', upgradeTo('one'))
  const ballots = village.ballots(proposal, { alice: 'yes', bob: 'yes' })
  return { proposal, decision: village.counted(proposal, ballots), saidAt: proposal.record.fields.time }
}

const admins: Names = { alice: 'admin', bob: 'admin', carol: 'admin' }

describe('a delegate reads', () => {
  test('of decisions that are proposed to it only those of whose turn it is, two at most, and each once', () => {
    const village = new PaperVillage(admins, { votingPeriodMs })
    using delegate = new Delegate(village, 2, votedOn(village).saidAt)
    const [first, second] = inTurn(village)
    for (let i = 0; i < 5; i++) propose(village, first!, 0, utf8(`nonsense ${i}`), 'admins')
    for (let i = 0; i < 5; i++) propose(village, second!, 0, utf8(`out of turn ${i}`), 'admins')
    for (const round of [1, 4, 7, 10, 1_000]) propose(village, second!, round, utf8(`later ${round}`), 'admins')
    for (let i = 0; i < 3; i++) delegate.consider()
    expect(delegate.reads).toBe(2)
    expect(delegate.signed).toEqual([])
  })

  test('a good decision once too, and votes for it when its time has come', () => {
    const village = new PaperVillage(admins, { votingPeriodMs })
    const { decision, saidAt } = votedOn(village)
    using delegate = new Delegate(village, 2, saidAt)
    propose(village, inTurn(village)[0]!, 0, decision.bytes, 'admins')
    for (let i = 0; i < 3; i++) delegate.consider()
    expect([delegate.reads, delegate.signed.length]).toEqual([1, 0])
    delegate.clock.advance(votingPeriodMs)
    delegate.consider()
    expect(delegate.reads).toBe(1)
    expect(delegate.signed).toMatchObject([{ type: 'prevote/1', body: { round: 0, decision: decision.id } }])
  })

  test('nothing that is said among all members before a third of them spoke or its own clock says so', () => {
    const village = new PaperVillage({ ...admins, dave: 'user' }, { votingPeriodMs })
    const { saidAt } = votedOn(village)
    const [first, second] = inTurn(village, ['alice', 'bob', 'carol', 'dave'])
    using delegate = new Delegate(village, 2, saidAt)
    for (let i = 0; i < 30; i++) propose(village, first!, 4 * Math.floor(i / 2), utf8(`nonsense ${i}`), 'members')
    delegate.consider()
    expect([delegate.reads, delegate.clock.nextAt]).toEqual([0, undefined])
    village.says(second!, 'prevote/1', { previous: village.state.head, electorate: 'members', round: 0 })
    delegate.consider()
    expect(delegate.reads).toBe(2)
    expect(delegate.clock.nextAt).toBeDefined()
  })
})

describe('a full disk', () => {
  test('when a timer goes off is told and ends nothing; after the next look the delegate goes on', () => {
    const village = new PaperVillage(admins, { votingPeriodMs })
    const { saidAt } = votedOn(village)
    using delegate = new Delegate(village, 1, saidAt)
    delegate.consider()
    delegate.clock.advance(votingPeriodMs)
    delegate.fullDisks = 1
    delegate.consider()
    // Nobody proposes: it votes for nothing, and can't write that down.
    delegate.clock.advance(paceMs)
    expect(delegate.failures).toMatchObject([{ code: 'disk-full' }])
    expect(delegate.signed).toEqual([])
    delegate.consider()
    delegate.clock.advance(paceMs)
    expect(delegate.signed).toMatchObject([{ type: 'prevote/1', body: { round: 0 } }])
    expect(delegate.failures).toHaveLength(1)
  })

  test('when a certificate is to be stored takes it away from nobody: the next look makes it again', () => {
    const village = new PaperVillage({ alice: 'admin', bob: 'user', carol: 'user' }, { votingPeriodMs })
    const { decision, saidAt } = votedOn(village)
    using delegate = new Delegate(village, 0, saidAt)
    delegate.consider()
    delegate.clock.advance(votingPeriodMs)
    village.says('alice', 'round/1', {
      previous: village.state.head,
      electorate: 'admins',
      round: 0,
      decision: decision.bytes,
    })
    for (const type of ['prevote/1', 'precommit/1'] as const) {
      village.says('alice', type, {
        previous: village.state.head,
        electorate: 'admins',
        round: 0,
        decision: decision.id,
      })
    }
    delegate.fullDisks = 1
    expect(() => delegate.consider()).toThrow(MeshError)
    expect(delegate.certificates).toEqual([])
    delegate.consider()
    expect(delegate.certificates.map(({ id }) => toHex(id))).toEqual([toHex(decision.id)])
  })
})
