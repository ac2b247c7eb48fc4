// What those do who want no agreement, or two: one strategy per schedule.
import { proposerOf } from '../index.ts'
import { Liars } from './liars.ts'
import { Scatterer } from './scatterer.ts'
import { Schemer } from './schemer.ts'
import type { AgreementMessage, Heard } from '../index.ts'
import type { Party, World } from './world.ts'

export interface Adversary {
  /** An honest delegate has signed this and is about to send it. */
  watch(message: AgreementMessage): void
  /** It is the turn of one of the liars to propose. */
  propose(liar: number, round: number): void
  /** By how many ticks the network delays a message, because the adversary wants it so. */
  lagOf(heard: Heard, to: Party): number
}

/** Returns what is to be called with every message that an honest delegate signs. */
export function unleashAdversary(world: World, parties: readonly Party[]): (heard: Heard) => void {
  const liars = new Liars(world, parties)
  const adversary = chooseAdversary(liars)
  if (adversary === undefined) return () => {}
  world.interference = (heard, to) => adversary.lagOf(heard, to)
  const proposed = new Set<number>()
  const proposeIn = (round: number): void => {
    const proposer = proposerOf(round, world.delegates)
    if (world.isHonest(proposer) || proposed.has(round)) return
    proposed.add(round)
    adversary.propose(proposer, round)
  }
  world.agenda.after(1, () => proposeIn(0))
  return ({ message }) => {
    liars.overhear(message)
    proposeIn(message.round)
    if (message.kind === 'precommit') proposeIn(message.round + 1)
    adversary.watch(message)
  }
}

function chooseAdversary(liars: Liars): Adversary | undefined {
  switch (liars.world.misbehaviour) {
    case 'is silent':
      return undefined
    case 'scatters':
      return new Scatterer(liars)
    case 'schemes':
      return new Schemer(liars)
  }
}
