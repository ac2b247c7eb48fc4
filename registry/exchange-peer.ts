// One peer on one channel: greeting, reading within a budget, writing without piling up. What messages mean is the exchange's business.
import {
  commonVersion,
  decodeWireMessage,
  encodeWireMessage,
  isMeshError,
  limits,
  MeshError,
} from '../protocol/index.ts'
import type { WireMessage } from '../protocol/index.ts'
import type { Clock, PeerChannel } from './ports.ts'

/** What one peer may cost. Generous for anybody who follows the protocol: a fresh follower of a large community stays below. */
export const peerBudget = Object.freeze({
  helloTimeoutMs: 20_000,
  /** A frame that isn't taken within this time ends the connection. */
  sendTimeoutMs: 60_000,
  windowMs: 60_000,
  framesPerWindow: 6_000,
  bytesPerWindow: 256 * 1024 * 1024,
  /** What this node sends in a window before it waits for the next one. */
  sentBytesPerWindow: 128 * 1024 * 1024,
  /** Answers a peer may have asked for without having read them. */
  queuedAnswers: 256,
})

export interface PeerEvents {
  /** After both greetings. */
  onReady(peer: ExchangePeer): void
  /** Throws a MeshError when the message breaks the protocol; a promise, after which the next one is read, may reject with it. */
  onMessage(peer: ExchangePeer, message: WireMessage): void | Promise<void>
  /** `failure` is what ended the conversation if that was an error: a message that was refused, or trouble on this side. */
  onClosed(peer: ExchangePeer, reason: string, failure: unknown): void
}

/** Made when its turn to be sent comes, so that an answer that waits takes no memory; nothing is sent for `undefined`. */
type Outgoing = () => WireMessage | undefined

export class ExchangePeer {
  readonly id: string
  transferKey: Uint8Array | undefined
  agent = ''
  /** In hex: those the peer is on. */
  topics: ReadonlySet<string> = new Set()
  /** In hex: those that were shared when last looked at. */
  readonly sharedTopics = new Set<string>()
  /** In hex: shared topics of communities whose genesis the peer asked for before this node had it. */
  readonly awaitedGeneses = new Set<string>()
  /** How often a topic became shared. */
  sharings = 0
  ready = false

  readonly #channel: PeerChannel
  readonly #clock: Clock
  readonly #events: PeerEvents
  readonly #queue: Outgoing[] = []
  #wake: (() => void) | undefined
  #closeReason: string | undefined
  #failure: unknown
  #windowStart: number
  #framesInWindow = 0
  #bytesInWindow = 0
  #sentInWindow = 0

  constructor(channel: PeerChannel, clock: Clock, events: PeerEvents) {
    this.id = channel.id
    this.#channel = channel
    this.#clock = clock
    this.#events = events
    this.#windowStart = clock.now()
  }

  get open(): boolean {
    return this.#closeReason === undefined
  }

  /** Talks until the channel is closed. Never rejects: what went wrong is told to `onClosed`. */
  async run(hello: WireMessage): Promise<void> {
    this.send(() => hello)
    const writing = this.#write().catch((error: unknown) => this.#fail(error))
    await this.#read().catch((error: unknown) => this.#fail(error))
    this.#close('the peer closed the connection')
    await writing
    this.#events.onClosed(this, this.#closeReason ?? '', this.#failure)
  }

  /** Queues a message. A peer that asks for answers without reading them is let go. */
  send(outgoing: Outgoing): void {
    if (!this.open) return
    if (this.#queue.length >= peerBudget.queuedAnswers) {
      this.#close('the peer does not read what it asks for')
      return
    }
    this.#queue.push(outgoing)
    this.#wake?.()
  }

  /** Says why, then closes; doesn't wait for a peer that doesn't listen. */
  async dismiss(reason: string): Promise<void> {
    if (!this.open) return
    this.#closeReason = reason
    const goodbye = encodeWireMessage({ type: 'goodbye/1', reason: plainReason(reason) })
    const cancel = this.#clock.schedule(1_000, () => this.#channel.close(reason))
    await this.#channel.send(goodbye).catch(ignoreClosed)
    cancel()
    this.#channel.close(reason)
    this.#wake?.()
  }

  #close(reason: string): void {
    this.#closeReason ??= reason
    this.#channel.close(this.#closeReason)
    this.#wake?.()
  }

  async #fail(error: unknown): Promise<void> {
    this.#failure ??= error
    await this.dismiss(isMeshError(error) ? error.message : 'something went wrong here')
  }

  /** Rejects with what a message was refused for. */
  async #read(): Promise<void> {
    const cancelDeadline = this.#clock.schedule(peerBudget.helloTimeoutMs, () => this.#close('the peer said no hello'))
    try {
      for await (const frame of this.#channel.frames) {
        if (!this.open) return
        this.#chargeReceived(frame.length)
        const message = decodeWireMessage(frame)
        if (message.type === 'unknown') continue
        if (message.type === 'goodbye/1') {
          this.#close(`the peer said goodbye: ${message.reason}`)
          return
        }
        if (this.ready === (message.type === 'hello/1')) {
          throw new MeshError('malformed', 'A connection starts with one greeting from each side.')
        }
        if (message.type === 'hello/1') {
          commonVersion(message.versions)
          cancelDeadline()
          this.ready = true
          this.transferKey = message.transferKey
          this.agent = message.agent
          this.#events.onReady(this)
        } else await this.#events.onMessage(this, message)
      }
    } finally {
      cancelDeadline()
    }
  }

  async #write(): Promise<void> {
    while (this.open) {
      const outgoing = this.#queue.shift()
      if (outgoing === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      const message = outgoing()
      if (message === undefined) continue
      const frame = encodeWireMessage(message)
      await this.#roomToSend(frame.length)
      const cancel = this.#clock.schedule(peerBudget.sendTimeoutMs, () => this.#close('the peer takes no data'))
      await this.#channel.send(frame).catch(ignoreClosed)
      cancel()
    }
    this.#queue.length = 0
  }

  /** Small questions have large answers: a peer must not make this node send without end. */
  async #roomToSend(bytes: number): Promise<void> {
    this.#turnWindow()
    while (this.open && this.#sentInWindow > peerBudget.sentBytesPerWindow) {
      const restMs = this.#windowStart + peerBudget.windowMs - this.#clock.now()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        this.#clock.schedule(restMs, resolve)
      })
      this.#turnWindow()
    }
    this.#sentInWindow += bytes
  }

  #chargeReceived(bytes: number): void {
    this.#turnWindow()
    this.#framesInWindow++
    this.#bytesInWindow += bytes
    if (this.#framesInWindow > peerBudget.framesPerWindow || this.#bytesInWindow > peerBudget.bytesPerWindow) {
      throw new MeshError('quota-exceeded', 'This peer sends more than a peer may.')
    }
  }

  #turnWindow(): void {
    const now = this.#clock.now()
    if (now - this.#windowStart < peerBudget.windowMs) return
    this.#windowStart = now
    this.#framesInWindow = 0
    this.#bytesInWindow = 0
    this.#sentInWindow = 0
  }
}

/** A closed channel shows in its own time: its frames end. */
function ignoreClosed(error: unknown): void {
  if (!isMeshError(error, 'not-reachable')) throw error
}

/** Reasons may quote what a peer sent. */
function plainReason(reason: string): string {
  return reason.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?').slice(0, limits.reasonMaxChars)
}
