// Lockfiles handed from who shares a persona to who has its link, on a topic of their own. What a peer sends is believed for its digest
// alone; what it means is for whoever asked. Peers of a topic may form a star with one that asks in the middle: what it got it passes on.
import { coverLockfile, personaTopic, toHex, uncoverLockfile } from '../protocol/index.ts'
import type { WireMessageOf } from '../protocol/index.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import { unlessAborted } from './unless-aborted.ts'

export interface SharedLockfilesParts {
  /** Meets peers on a topic, in the background and for as long as it takes. */
  readonly meet: (topic: Uint8Array) => void
  readonly leave: (topic: Uint8Array) => void
}

/** While it lasts those who share the persona can be met, also by whoever looks for its releases. */
export interface LockfileMeeting extends Disposable {
  /** The canonical bytes with the digest of the link, not parsed. Rejects with `aborted`. */
  lockfile(signal: AbortSignal): Promise<Uint8Array>
}

interface Question {
  readonly digest: Uint8Array
  readonly topic: Uint8Array
  readonly answer: PromiseWithResolvers<Uint8Array>
  /** Once it came. */
  covered: Uint8Array | undefined
  /** Peers that asked before that. */
  readonly asking: Set<ExchangePeer>
  meetings: number
}

export class SharedLockfiles {
  readonly #parts: SharedLockfilesParts
  /** Both by topic in hex. */
  readonly #offers = new Map<string, WireMessageOf<'lockfile/1'>>()
  readonly #questions = new Map<string, Question>()

  constructor(parts: SharedLockfilesParts) {
    this.#parts = parts
  }

  /** `bytes`: the canonical bytes that `digest` was taken of. Sharing twice is fine. */
  offer(digest: Uint8Array, bytes: Uint8Array): void {
    const topic = personaTopic(digest)
    this.#offers.set(toHex(topic), { type: 'lockfile/1', topic, covered: coverLockfile(digest, bytes) })
    this.#parts.meet(topic)
    this.#answerAskers(toHex(topic))
  }

  withdraw(digest: Uint8Array): void {
    const topic = personaTopic(digest)
    if (this.#offers.delete(toHex(topic))) this.#leaveUnused(topic)
  }

  meetHolders(digest: Uint8Array): LockfileMeeting {
    const question = this.#questionAbout(digest)
    let over = false
    return {
      lockfile: (signal) => unlessAborted(question.answer.promise, signal),
      [Symbol.dispose]: () => {
        if (over) return
        over = true
        if (--question.meetings > 0) return
        this.#questions.delete(toHex(question.topic))
        this.#leaveUnused(question.topic)
      },
    }
  }

  /** Whether anything here is still to be met for on a topic. */
  uses(topic: Uint8Array): boolean {
    return this.#offers.has(toHex(topic)) || this.#questions.has(toHex(topic))
  }

  /** A topic became shared with a peer. */
  shared(peer: ExchangePeer, topicName: string): void {
    const question = this.#questions.get(topicName)
    if (question !== undefined) peer.send(() => ({ type: 'want-lockfile/1', topic: question.topic }))
  }

  /** Nothing is sent on this topic any more. */
  unshared(peer: ExchangePeer, topicName: string): void {
    this.#questions.get(topicName)?.asking.delete(peer)
  }

  gone(peer: ExchangePeer): void {
    for (const { asking } of this.#questions.values()) asking.delete(peer)
  }

  /** Throws `hash-mismatch` for another lockfile than the one that was asked for. */
  handle(
    peer: ExchangePeer,
    topicName: string,
    message: WireMessageOf<'want-lockfile/1'> | WireMessageOf<'lockfile/1'>,
  ): void {
    const question = this.#questions.get(topicName)
    if (message.type === 'want-lockfile/1') {
      question?.asking.add(peer)
      this.#answer(peer, topicName)
    } else if (question !== undefined && question.covered === undefined) {
      question.answer.resolve(uncoverLockfile(question.digest, message.covered))
      question.covered = message.covered
      this.#answerAskers(topicName)
    }
  }

  #answerAskers(topicName: string): void {
    const question = this.#questions.get(topicName)
    for (const peer of question?.asking ?? []) this.#answer(peer, topicName)
  }

  /** Says nothing while there is nothing to say. */
  #answer(peer: ExchangePeer, topicName: string): void {
    const answer = this.#lockfileOf(topicName)
    if (answer === undefined) return
    this.#questions.get(topicName)?.asking.delete(peer)
    peer.send(() => this.#lockfileOf(topicName))
  }

  #lockfileOf(topicName: string): WireMessageOf<'lockfile/1'> | undefined {
    const offer = this.#offers.get(topicName)
    if (offer !== undefined) return offer
    const question = this.#questions.get(topicName)
    if (question?.covered === undefined) return undefined
    return { type: 'lockfile/1', topic: question.topic, covered: question.covered }
  }

  #questionAbout(digest: Uint8Array): Question {
    const topic = personaTopic(digest)
    const asked = this.#questions.get(toHex(topic))
    if (asked !== undefined) {
      asked.meetings++
      return asked
    }
    const answer = Promise.withResolvers<Uint8Array>()
    const question: Question = { digest, topic, answer, covered: undefined, asking: new Set(), meetings: 1 }
    this.#questions.set(toHex(topic), question)
    this.#parts.meet(topic)
    return question
  }

  #leaveUnused(topic: Uint8Array): void {
    if (!this.uses(topic)) this.#parts.leave(topic)
  }
}
