// Who among the connected peers serves a torrent: asked of all, again for those that come later, until the asker has enough.
import { limits, toHex } from '../protocol/index.ts'
import type { WireMessageOf } from '../protocol/index.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import type { Clock } from './ports.ts'

const askAgainMs = 5_000

export interface SeedAnswer {
  /** 20 bytes. */
  readonly infohash: Uint8Array
  /** Where the peer serves the BitTorrent wire, 32 bytes. */
  readonly transferKey: Uint8Array
}

interface Question {
  readonly infohashes: readonly Uint8Array[]
  readonly wanted: ReadonlySet<string>
  readonly told: Set<string>
  readonly answers: SeedAnswer[]
  wake: (() => void) | undefined
}

export class SeedQuestions {
  readonly #clock: Clock
  readonly #peers: () => Iterable<ExchangePeer>
  readonly #questions = new Set<Question>()
  #cancelNext: (() => void) | undefined

  constructor(clock: Clock, peers: () => Iterable<ExchangePeer>) {
    this.#clock = clock
    this.#peers = peers
  }

  /** Each (torrent, peer) once; goes on with peers that appear later until the signal aborts, and then just ends. */
  async *ask(infohashes: readonly Uint8Array[], signal: AbortSignal): AsyncIterable<SeedAnswer> {
    if (infohashes.length === 0) return
    const question: Question = {
      infohashes,
      wanted: new Set(infohashes.map(toHex)),
      told: new Set(),
      answers: [],
      wake: undefined,
    }
    const wake = (): void => question.wake?.()
    this.#questions.add(question)
    signal.addEventListener('abort', wake)
    try {
      for (const peer of this.#peers()) sendQuestion(peer, question)
      this.#keepAsking()
      while (!signal.aborted) {
        const answer = question.answers.shift()
        if (answer !== undefined) yield answer
        else await new Promise<void>((resolve) => (question.wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#questions.delete(question)
      if (this.#questions.size === 0) this.#stopAsking()
    }
  }

  peerReady(peer: ExchangePeer): void {
    for (const question of this.#questions) sendQuestion(peer, question)
  }

  /** Answers to what nobody asks any more are ignored. */
  answered(peer: ExchangePeer, message: WireMessageOf<'have-seeds/1'>): void {
    const { transferKey } = peer
    if (transferKey === undefined) return
    for (const infohash of message.infohashes) {
      const name = toHex(infohash)
      for (const question of this.#questions) {
        const answer = `${name} ${toHex(transferKey)}`
        if (!question.wanted.has(name) || question.told.has(answer)) continue
        question.told.add(answer)
        question.answers.push({ infohash, transferKey })
        question.wake?.()
      }
    }
  }

  /** A peer may have fetched by now what it lacked before. */
  #keepAsking(): void {
    this.#cancelNext ??= this.#clock.schedule(askAgainMs, () => {
      this.#cancelNext = undefined
      for (const peer of this.#peers()) this.peerReady(peer)
      if (this.#questions.size > 0) this.#keepAsking()
    })
  }

  #stopAsking(): void {
    this.#cancelNext?.()
    this.#cancelNext = undefined
  }
}

function sendQuestion(peer: ExchangePeer, { infohashes }: Question): void {
  if (peer.transferKey === undefined) return
  for (let i = 0; i < infohashes.length; i += limits.infohashesPerMessageMax) {
    const part = infohashes.slice(i, i + limits.infohashesPerMessageMax)
    peer.send(() => ({ type: 'want-seeds/1', infohashes: part }))
  }
}
