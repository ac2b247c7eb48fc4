// An honest delegate, or an observer, as a driver runs it: what it signs is stored before it is sent, its process may end at any moment,
// and what is stored brings the machine back. It passes on what it holds, as logs do.
import type { AgreementAction, AgreementEvent, AgreementState, Heard, Value } from '../index.ts'
import type { Machine, Party, World } from './world.ts'

export class HonestParty implements Party {
  readonly index: number
  readonly #world: World
  readonly #machine: Machine
  /** Undefined while its process is down. */
  #state: AgreementState | undefined
  /** Which life of the process it is: timers of an earlier one mean nothing. */
  #life = 0
  /** In the order in which it came and was signed. */
  #stored: Heard[] = []
  #known = new Set<Heard>()
  /** All up to here came before it signed something, and so is as durable as that. */
  #sealed = 0
  readonly #contents = new Set<Value>()
  /** Those it has found valid since its process began. */
  readonly #checked = new Set<Value>()
  #wantsToPropose = false
  /** Per other party how much of what is stored it was sent. */
  readonly #sentTo = new Map<HonestParty, number>()
  #others: readonly HonestParty[] = []
  #onSend: (heard: Heard) => void = () => {}

  constructor(index: number, world: World, machine: Machine) {
    this.index = index
    this.#world = world
    this.#machine = machine
  }

  get stored(): readonly Heard[] {
    return this.#stored
  }

  /** Everything begins: contents arrive at different times, but by the heal they are there; the process may end now and then. */
  begin(others: readonly HonestParty[], onSend: (heard: Heard) => void): void {
    const { agenda, dice, healAt, soundValues, crashChance } = this.#world
    this.#others = others
    this.#onSend = onSend
    const byTheHeal = (): number => (dice.chance(0.6) ? 1 : dice.between(1, Math.max(1, healAt)))
    for (const value of soundValues) agenda.after(byTheHeal(), () => this.#check(value))
    agenda.after(byTheHeal(), () => this.#chooseCandidate())
    agenda.after(1, () => this.#live())
    agenda.after(dice.between(1, 10), () => this.#gossip())
    if (dice.chance(crashChance * 10)) agenda.after(dice.between(2, healAt + 40), () => this.#crash())
  }

  receive(heard: Heard): void {
    if (this.#state === undefined) return
    if (!this.#known.has(heard)) {
      this.#known.add(heard)
      this.#stored.push(heard)
    } else if (!this.#world.dice.chance(0.1)) return // the machine sees a part of the duplicates: each costs time
    this.#tell({ kind: 'message', ...heard })
  }

  // Life and death of the process

  #live(): void {
    const { agenda, dice, delegates, roundsAhead } = this.#world
    const self = this.index < delegates ? this.index : undefined
    this.#state = this.#machine.start({ delegates, self, roundsAhead })
    const replay: AgreementEvent[] = this.#stored.map((heard) => ({ kind: 'message', ...heard }))
    this.#tell(...dice.shuffled(replay), { kind: 'start' })
    // Contents are checked again, one after the other.
    for (const value of this.#contents) agenda.after(dice.between(1, 8), () => this.#check(value))
    if (this.#wantsToPropose) agenda.after(dice.between(1, 8), () => this.#chooseCandidate())
  }

  #crash(): void {
    if (this.#state === undefined) return
    const { agenda, dice, durable, ledger } = this.#world
    this.#state = undefined
    this.#life++
    ledger.restarts++
    const survives = (heard: Heard, at: number): boolean => {
      if (heard.from === this.index) return durable !== 'nothing of its own'
      return (durable !== 'others at random' && at < this.#sealed) || dice.chance(0.5)
    }
    this.#stored = this.#stored.filter(survives)
    this.#sealed = this.#stored.findLastIndex(({ from }) => from === this.index) + 1
    this.#known = new Set(this.#stored)
    this.#sentTo.clear()
    for (const other of this.#others) other.#sentTo.delete(this)
    this.#checked.clear()
    agenda.after(dice.between(1, 40), () => this.#live())
  }

  /** Whether the process has ended just here. Once healed it does so too, but not for ever. */
  #crashesHere(): boolean {
    const { dice, crashChance, agenda, healAt } = this.#world
    if (agenda.now > healAt + 100 || !dice.chance(crashChance)) return false
    this.#crash()
    return true
  }

  // The machine

  #tell(...events: AgreementEvent[]): void {
    for (let at = 0; at < events.length; at++) {
      if (this.#state === undefined) return
      const { state, actions } = this.#machine.next(this.#state, events[at]!)
      this.#state = state
      this.#world.ledger.steps++
      for (const action of actions) events.push(...this.#perform(action))
    }
  }

  /** Returns what the machine is to be told next. */
  #perform(action: AgreementAction): AgreementEvent[] {
    if (this.#state === undefined) return [] // it crashed at an earlier action of the same list
    const { agenda, ledger } = this.#world
    switch (action.kind) {
      case 'send':
        this.#send(action)
        return []
      case 'schedule': {
        const life = this.#life
        const { step, round } = action
        const fire = (): void => (life === this.#life ? this.#tell({ kind: 'timeout', step, round }) : undefined)
        agenda.after(this.#world.timeout(step, round), fire)
        return []
      }
      case 'decided':
        ledger.decided(this.index, action)
        return []
      case 'misbehaved':
        ledger.accuse(action.delegate, this.#world.isHonest(action.delegate))
        return []
      case 'hear-again':
        ledger.heardAgain++
        return this.#stored
          .filter(({ message: { round } }) => round >= action.fromRound && round <= action.throughRound)
          .map((heard) => ({ kind: 'message', ...heard }))
    }
  }

  /** Its process may end before the message is stored, after that, and when half of the others have it. */
  #send({ message }: Extract<AgreementAction, { kind: 'send' }>): void {
    const { ledger, dice } = this.#world
    if (this.#crashesHere()) return
    const heard = ledger.signHonestly(this.index, message, (value) => this.#checked.has(value))
    this.#stored.push(heard)
    this.#known.add(heard)
    this.#sealed = this.#stored.length
    this.#onSend(heard)
    for (const other of dice.shuffled(this.#others)) {
      if (this.#crashesHere()) return
      this.#world.transmit(this.index, other, heard)
    }
  }

  // Contents

  #check(value: Value): void {
    this.#contents.add(value)
    if (this.#state === undefined) return
    this.#checked.add(value)
    this.#tell({ kind: 'valid', value })
  }

  /** It may change its mind when its process begins anew. */
  #chooseCandidate(): void {
    const { dice, soundValues } = this.#world
    this.#wantsToPropose = true
    if (this.#state === undefined) return
    const value = this.#life === 0 ? soundValues[this.index % soundValues.length]! : dice.pick(soundValues)
    this.#contents.add(value)
    this.#checked.add(value)
    this.#tell({ kind: 'candidate', value })
  }

  // Passing on

  #gossip(): void {
    const { agenda, dice, healed, healAt, longestSilence } = this.#world
    const silence = Math.min(dice.between(5, longestSilence), Math.max(1, healAt - agenda.now))
    agenda.after(healed ? dice.between(1, 6) : silence, () => this.#gossip())
    if (this.#state === undefined) return
    for (const other of this.#others) if (!this.#world.areApart(this.index, other.index)) this.#passOn(other)
  }

  #passOn(other: HonestParty): void {
    const { healed } = this.#world
    if (other.#state === undefined) return
    for (const heard of this.#stored.slice(this.#sentTo.get(other) ?? 0)) {
      if (!other.#known.has(heard)) this.#world.transmit(this.index, other, heard)
    }
    // Until the heal it may have got lost, and is sent again.
    if (healed) this.#sentTo.set(other, this.#stored.length)
  }
}
