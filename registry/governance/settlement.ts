// Settles what is due in one community, by the delegates' agreement over their logs: what a delegate says in a round is a record like any
// other, so it is on the disk before anybody sees it, and after a restart the agreement is where it was. Nodes that are no delegates follow
// along; whoever sees the agreement first makes the certificate.
import { bytesEqual, isMeshError, sealCertificate, toHex } from '../../protocol/index.ts'
import type { Electorate, OpenedCertificate, OpenedDecision } from '../../protocol/index.ts'
import { moreThanAThirdOf, next } from '../agreement/index.ts'
import type { AgreementAction, AgreementEvent, Step as AgreementStep } from '../agreement/index.ts'
import type { Clock } from '../ports.ts'
import { delegatesOf } from './chain-state.ts'
import { composeDecision, isTimeFor, maySign } from './compose-decision.ts'
import type { Counting, Now } from './compose-decision.ts'
import type { Step } from './heard.ts'
import {
  awaitedValues,
  hearFrom,
  indexIn,
  judge,
  messageOf,
  openedContent,
  precommitsFor,
  recordOf,
  startInstance,
  stepsAfter,
} from './settling-instance.ts'
import type { Instance, StepRecord } from './settling-instance.ts'

export interface SettlementParts {
  readonly clock: Clock
  /** Identity in hex. */
  readonly self: string
  /** Durations of the first round; later ones grow. */
  readonly paceMs: number
  readonly now: () => Now
  /** Whether this node may sign for its delegate: it was allowed to, and its log can be appended to. */
  readonly allowed: () => boolean
  /** Durable when it returns. Throws `disk-full` or `storage-failed`. */
  readonly sign: (record: StepRecord) => void
  readonly onCertificate: (certificate: OpenedCertificate) => void
  /** Two signatures of a delegate for one round and step. */
  readonly onMisbehaved: (delegate: string) => void
  /** What a timer led to could not be signed or stored. `consider` throws the same: call it again later, it goes on from the disk. */
  readonly onFailure: (error: unknown) => void
}

const longestPaceMs = 3_600_000
const paceGrowth = 1.5

/** Identities in hex. */
interface Speakers {
  readonly admins: Set<string>
  readonly members: Set<string>
  taken: number
}

export class Settlement implements Disposable {
  readonly #parts: SettlementParts
  readonly #instances = new Map<Electorate, Instance>()
  readonly #speakers = new WeakMap<readonly Step[], Speakers>()
  #busy = false
  #again = false

  constructor(parts: SettlementParts) {
    this.#parts = parts
  }

  /** Call it whenever records or certificates came, and when time has passed. */
  consider(): void {
    // Signing a record leads back here; that is taken up when this turn is done.
    this.#again = true
    if (!this.#busy) this.#turn(() => undefined)
  }

  #turn(first: () => void): void {
    this.#busy = true
    try {
      first()
      while (this.#again) {
        this.#again = false
        for (const electorate of ['admins', 'members'] as const) this.#considerAmong(electorate)
      }
    } finally {
      this.#busy = false
    }
  }

  [Symbol.dispose](): void {
    for (const instance of this.#instances.values()) this.#drop(instance)
  }

  #considerAmong(electorate: Electorate): void {
    const now = this.#parts.now()
    const steps = stepsAfter(now, now.state.head)
    const delegates = delegatesOf(now.state, electorate)
    const self = this.#parts.allowed() ? indexIn(delegates, this.#parts.self) : undefined
    const candidate =
      self === undefined ? undefined : composeDecision(now, electorate, this.#countingOf(delegates, electorate, steps))
    const spoke = this.#spokeAmong(delegates, electorate, steps)
    const begun = spoke >= moreThanAThirdOf(delegates.length)
    // Where every member is a delegate nobody is listened to before there is a reason: a third, or this node's own clock.
    if (candidate === undefined && !(electorate === 'admins' ? spoke > 0 : begun)) return this.#leave(electorate, now)
    const instance = this.#instanceFor(now, electorate, { delegates, self, steps })
    this.#handIn(instance)
    if (instance.state.decided !== undefined) return this.#certify(instance)
    if (self === undefined) return
    this.#prove(instance, now)
    if (candidate !== undefined) this.#nominate(instance, now, candidate)
    if (!instance.state.started && (candidate !== undefined || begun)) this.#tell(instance, { kind: 'start' })
  }

  /** The first proposal counts what its proposer held in time. If another delegate held more, the next ones count all there is. */
  #countingOf(delegates: readonly string[], electorate: Electorate, steps: readonly Step[]): Counting {
    const { self } = this.#parts
    if (delegates[0] !== self) return 'all-held'
    const proposed = steps.some(
      ({ author, statement: { type, body } }) =>
        type === 'round/1' && body.electorate === electorate && toHex(author) === self,
    )
    return proposed ? 'all-held' : 'in-time'
  }

  /** How many of the delegates spoke. One alone hurries nobody; of more than a third one is honest. */
  #spokeAmong(delegates: readonly string[], electorate: Electorate, steps: readonly Step[]): number {
    let known = this.#speakers.get(steps)
    if (known === undefined) this.#speakers.set(steps, (known = { admins: new Set(), members: new Set(), taken: 0 }))
    while (known.taken < steps.length) {
      const { author, statement } = steps[known.taken++]!
      known[statement.body.electorate].add(toHex(author))
    }
    const speakers = known[electorate]
    return delegates.filter((delegate) => speakers.has(delegate)).length
  }

  /** What followed an earlier certificate has no more to say. */
  #leave(electorate: Electorate, { state }: Now): void {
    const known = this.#instances.get(electorate)
    if (known !== undefined && !bytesEqual(known.previous, state.head)) this.#drop(known)
  }

  #instanceFor(
    { state }: Now,
    electorate: Electorate,
    { delegates, self, steps }: Pick<Instance, 'delegates' | 'self' | 'steps'>,
  ): Instance {
    const known = this.#instances.get(electorate)
    const fits = known !== undefined && bytesEqual(known.previous, state.head) && known.self === self
    if (fits && hearFrom(known, steps)) return known
    if (known !== undefined) this.#drop(known)
    const instance = startInstance({ previous: state.head, electorate, delegates, self, steps })
    this.#instances.set(electorate, instance)
    return instance
  }

  #drop(instance: Instance): void {
    for (const cancel of instance.cancels) cancel()
    if (this.#instances.get(instance.electorate) === instance) this.#instances.delete(instance.electorate)
  }

  /** The machine keeps what an honest delegate could have said, and no more than two of each: contents are read when they are needed. */
  #handIn(instance: Instance): void {
    while (instance.taken < instance.steps.length && instance.state.decided === undefined) {
      const step = instance.steps[instance.taken++]!
      const from = indexIn(instance.delegates, toHex(step.author))
      const id = toHex(step.id)
      if (from === undefined || step.statement.body.electorate !== instance.electorate) continue
      if (instance.handedIn.has(id)) continue
      instance.handedIn.add(id)
      this.#tell(instance, { kind: 'message', from, message: messageOf(step) })
    }
  }

  /** Decisions that others propose become valid here when their time has come. */
  #prove(instance: Instance, now: Now): void {
    for (const value of awaitedValues(instance.state)) {
      const following = judge(instance, now, value)
      if (following !== undefined && isTimeFor(now, following)) this.#tell(instance, { kind: 'valid', value })
    }
  }

  #nominate(instance: Instance, now: Now, candidate: OpenedDecision): void {
    if (instance.weighed !== undefined && bytesEqual(instance.weighed.id, candidate.id)) return
    instance.weighed = candidate
    if (!maySign(now, instance.electorate, candidate)) return
    instance.candidate = candidate
    this.#tell(instance, { kind: 'candidate', value: toHex(candidate.id) })
  }

  #tell(instance: Instance, event: AgreementEvent): void {
    try {
      const { state, actions } = next(instance.state, event)
      instance.state = state
      for (const action of actions) this.#act(instance, action)
    } catch (error) {
      // It is as if it had never been thought of: the agreement starts again from what is on the disk.
      this.#drop(instance)
      throw error
    }
  }

  #act(instance: Instance, action: AgreementAction): void {
    switch (action.kind) {
      case 'send':
        this.#parts.sign(recordOf(instance, this.#parts.now(), action.message))
        return
      case 'schedule':
        this.#schedule(instance, action.step, action.round)
        return
      case 'decided':
        this.#certify(instance)
        return
      case 'misbehaved':
        this.#parts.onMisbehaved(instance.delegates[action.delegate]!)
        return
      case 'hear-again':
        instance.handedIn.clear()
        instance.taken = 0
        this.#again = true
        return
      default:
        action satisfies never
    }
  }

  #schedule(instance: Instance, step: AgreementStep, round: number): void {
    const grown = this.#parts.paceMs * paceGrowth ** Math.min(round, 100)
    const delayMs = Math.ceil(Math.min(grown, longestPaceMs))
    const cancel = this.#parts.clock.schedule(delayMs, () => {
      instance.cancels.delete(cancel)
      if (this.#instances.get(instance.electorate) !== instance) return
      this.#timeUp(instance, step, round)
    })
    instance.cancels.add(cancel)
  }

  /** Nobody stands above a timer who could catch what it throws: a full disk must not end the process. */
  #timeUp(instance: Instance, step: AgreementStep, round: number): void {
    // What was said in the next round, if it comes to that, is looked at now.
    this.#again = true
    try {
      this.#turn(() => this.#tell(instance, { kind: 'timeout', step, round }))
    } catch (error) {
      if (!isMeshError(error)) throw error
      this.#parts.onFailure(error)
    }
  }

  /** The content comes with the proposer's log, perhaps later than what decides; the certificate then waits, or comes from another. */
  #certify(instance: Instance): void {
    const { decided } = instance.state
    if (decided === undefined || instance.certified) return
    const now = this.#parts.now()
    const opened = openedContent(instance, now, decided.value)
    if (opened === undefined) return
    const precommits = precommitsFor(instance, now, decided).map((step) => now.enclosing.enclosed(step))
    this.#parts.onCertificate(sealCertificate(opened, precommits))
    instance.certified = true
  }
}
