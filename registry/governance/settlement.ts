// Settles what is due in one community, by the delegates' agreement over their logs: what a delegate says in a round is a record like any
// other, so it is on the disk before anybody sees it, and after a restart the agreement is where it was. Nodes that are no delegates follow
// along; whoever sees the agreement first makes the certificate.
import { bodyOf, bytesEqual, fromHex, isMeshError, openDecision, sealCertificate, toHex } from '../../protocol/index.ts'
import type { Electorate, OpenedCertificate, RecordBody } from '../../protocol/index.ts'
import { next, startAgreement } from '../agreement/index.ts'
import type {
  AgreementAction,
  AgreementEvent,
  AgreementMessage,
  AgreementState,
  Step as AgreementStep,
} from '../agreement/index.ts'
import type { Clock } from '../ports.ts'
import { delegatesOf } from './chain-state.ts'
import { composeDecision, maySign } from './compose-decision.ts'
import type { Counting, Now } from './compose-decision.ts'
import type { Step } from './heard.ts'

export type StepRecord = {
  [T in 'round/1' | 'prevote/1' | 'precommit/1']: { readonly type: T; readonly body: RecordBody<T> }
}['round/1' | 'prevote/1' | 'precommit/1']

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
}

const longestPaceMs = 3_600_000
const paceGrowth = 1.5

/** One instance: what is to follow one certificate, among one electorate. */
interface Instance {
  readonly previous: Uint8Array
  readonly electorate: Electorate
  /** Identities in hex, in the order in which they propose. */
  readonly delegates: readonly string[]
  readonly self: number | undefined
  state: AgreementState
  /** Record ids, in hex, that were handed in. */
  readonly handedIn: Set<string>
  /** Decisions, by id in hex, that are not valid here yet. */
  readonly unproven: Map<string, Uint8Array>
  /** Decisions of which this node knows the content. */
  readonly contents: Map<string, Uint8Array>
  candidate: string | undefined
  readonly cancels: Set<() => void>
}

export class Settlement implements Disposable {
  readonly #parts: SettlementParts
  readonly #instances = new Map<Electorate, Instance>()
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
    const steps = (now.heard.steps.get(toHex(now.state.head)) ?? []).filter(
      ({ statement }) => statement.body.electorate === electorate,
    )
    const candidate = composeDecision(now, electorate, this.#countingOf(now, electorate, steps))
    if (candidate === undefined && steps.length === 0) return
    const instance = this.#instanceFor(now, electorate, steps)
    if (instance.state.decided !== undefined) return
    for (const step of steps) this.#handIn(instance, now, step)
    this.#prove(instance, now)
    if (candidate !== undefined && instance.candidate !== toHex(candidate.id) && maySign(now, electorate, candidate)) {
      instance.candidate = toHex(candidate.id)
      instance.contents.set(instance.candidate, candidate.bytes)
      this.#tell(instance, { kind: 'candidate', value: instance.candidate })
    }
    if (!instance.state.started && (candidate !== undefined || hasBegun(instance, steps))) {
      this.#tell(instance, { kind: 'start' })
    }
  }

  /** The first proposal counts what its proposer held in time. If another delegate held more, the next ones count all there is. */
  #countingOf({ state }: Now, electorate: Electorate, steps: readonly Step[]): Counting {
    const isFirst = delegatesOf(state, electorate)[0] === this.#parts.self
    const proposed = steps.some(
      ({ author, statement }) => statement.type === 'round/1' && toHex(author) === this.#parts.self,
    )
    return isFirst && !proposed ? 'in-time' : 'all-held'
  }

  #instanceFor({ state }: Now, electorate: Electorate, steps: readonly Step[]): Instance {
    const self = this.#parts.allowed() ? this.#parts.self : undefined
    const delegates = delegatesOf(state, electorate)
    const index = self === undefined ? -1 : delegates.indexOf(self)
    const known = this.#instances.get(electorate)
    const selfIndex = index < 0 ? undefined : index
    const fits = known !== undefined && bytesEqual(known.previous, state.head) && known.self === selfIndex
    if (fits && isStillHeard(known, steps)) return known
    if (known !== undefined) this.#drop(known)
    const instance: Instance = {
      previous: state.head,
      electorate,
      delegates,
      self: selfIndex,
      state: startAgreement({ delegates: delegates.length, self: selfIndex }),
      handedIn: new Set(),
      unproven: new Map(),
      contents: new Map(),
      candidate: undefined,
      cancels: new Set(),
    }
    this.#instances.set(electorate, instance)
    return instance
  }

  #drop(instance: Instance): void {
    for (const cancel of instance.cancels) cancel()
    if (this.#instances.get(instance.electorate) === instance) this.#instances.delete(instance.electorate)
  }

  #handIn(instance: Instance, now: Now, step: Step): void {
    const id = toHex(step.id)
    const from = instance.delegates.indexOf(toHex(step.author))
    if (from < 0 || instance.handedIn.has(id)) return
    instance.handedIn.add(id)
    if (step.statement.type === 'round/1') {
      const value = toHex(step.statement.body.decision)
      const { decision } = bodyOfRound(now, step)
      if (!instance.contents.has(value)) instance.unproven.set(value, decision)
      instance.contents.set(value, decision)
    }
    this.#tell(instance, { kind: 'message', from, message: messageOf(step) })
  }

  /** Decisions that others propose become valid here when their time has come. */
  #prove(instance: Instance, now: Now): void {
    for (const [value, bytes] of instance.unproven) {
      if (!isSignable(now, instance.electorate, bytes)) continue
      instance.unproven.delete(value)
      this.#tell(instance, { kind: 'valid', value })
    }
  }

  #tell(instance: Instance, event: AgreementEvent): void {
    const { state, actions } = next(instance.state, event)
    instance.state = state
    for (const action of actions) this.#act(instance, action)
  }

  #act(instance: Instance, action: AgreementAction): void {
    switch (action.kind) {
      case 'send':
        this.#send(instance, action.message)
        return
      case 'schedule':
        this.#schedule(instance, action.step, action.round)
        return
      case 'decided':
        this.#decided(instance, action)
        return
      case 'misbehaved':
        this.#parts.onMisbehaved(instance.delegates[action.delegate]!)
        return
      case 'hear-again':
        instance.handedIn.clear()
        this.#again = true
        return
      default:
        action satisfies never
    }
  }

  #send(instance: Instance, message: AgreementMessage): void {
    try {
      this.#parts.sign(recordOf(instance, message))
    } catch (error) {
      // It is as if it had never been thought of: the agreement starts again from what is on the disk.
      this.#drop(instance)
      throw error
    }
  }

  #schedule(instance: Instance, step: AgreementStep, round: number): void {
    const grown = this.#parts.paceMs * paceGrowth ** Math.min(round, 100)
    const delayMs = Math.ceil(Math.min(grown, longestPaceMs))
    const cancel = this.#parts.clock.schedule(delayMs, () => {
      instance.cancels.delete(cancel)
      if (this.#instances.get(instance.electorate) !== instance) return
      this.#turn(() => this.#tell(instance, { kind: 'timeout', step, round }))
    })
    instance.cancels.add(cancel)
  }

  #decided(instance: Instance, { value, round, by }: { value: string; round: number; by: readonly number[] }): void {
    const bytes = instance.contents.get(value)
    // Its content comes with the proposer's log; the certificate then comes from there, or is made when it has come.
    if (bytes === undefined) {
      this.#drop(instance)
      return
    }
    const { heard, enclosing } = this.#parts.now()
    const signers = new Set(by.map((delegate) => instance.delegates[delegate]!))
    const seen = new Set<string>()
    const precommits = (heard.steps.get(toHex(instance.previous)) ?? []).filter((step) => {
      const { type, body } = step.statement
      const author = toHex(step.author)
      const counts =
        type === 'precommit/1' &&
        body.electorate === instance.electorate &&
        body.round === round &&
        body.decision !== undefined &&
        toHex(body.decision) === value &&
        signers.has(author) &&
        !seen.has(author)
      if (counts) seen.add(author)
      return counts
    })
    const enclosed = precommits.map((step) => enclosing.enclosed(step))
    this.#parts.onCertificate(sealCertificate(openDecision(bytes), enclosed))
  }
}

/** Of a log that was forked nothing counts from there on: what was heard of it must be forgotten, or it would be counted and not be there. */
function isStillHeard({ handedIn }: Instance, steps: readonly Step[]): boolean {
  return handedIn.isSubsetOf(new Set(steps.map(({ id }) => toHex(id))))
}

/** Whether more than a third of the delegates spoke, an honest one among them. One alone hurries nobody. */
function hasBegun({ delegates }: Instance, steps: readonly Step[]): boolean {
  const speakers = new Set(steps.map(({ author }) => toHex(author)))
  return delegates.filter((delegate) => speakers.has(delegate)).length > delegates.length / 3
}

function bodyOfRound({ enclosing }: Now, step: Step): RecordBody<'round/1'> {
  return bodyOf(enclosing.record(step), 'round/1')
}

function isSignable(now: Now, electorate: Electorate, bytes: Uint8Array): boolean {
  try {
    return maySign(now, electorate, openDecision(bytes))
  } catch (error) {
    if (!isMeshError(error)) throw error
    return false
  }
}

function messageOf({ statement }: Step): AgreementMessage {
  const { round } = statement.body
  if (statement.type === 'round/1') {
    return {
      kind: 'proposal',
      round,
      value: toHex(statement.body.decision),
      validRound: statement.body.validRound,
    }
  }
  const { decision } = statement.body
  const kind = statement.type === 'prevote/1' ? 'prevote' : 'precommit'
  return { kind, round, value: decision === undefined ? undefined : toHex(decision) }
}

function recordOf({ previous, electorate, contents }: Instance, message: AgreementMessage): StepRecord {
  const { round } = message
  if (message.kind === 'proposal') {
    const decision = contents.get(message.value)
    if (decision === undefined) throw new Error('a decision was proposed whose content is not known')
    const { validRound } = message
    const body = { previous, electorate, round, decision, ...(validRound === undefined ? {} : { validRound }) }
    return { type: 'round/1', body }
  }
  const decision = message.value === undefined ? {} : { decision: fromHex(message.value) }
  return { type: `${message.kind}/1`, body: { previous, electorate, round, ...decision } }
}
