/* oxlint-disable no-underscore-dangle -- the library names the inner parts that are used here so */
// Hyperswarm with one connection per peer, and the same one at both ends. Two nodes that find each other at the same moment dial each other;
// each end then has to drop the same one of the two, and tell nobody of the other.
import type { NoiseStream } from 'hyperdht'
import Hyperswarm, { type HyperswarmOptions } from 'hyperswarm'
import { compareBytes } from '../../protocol/index.ts'

/** A second connection this soon after the first was dialled before its owner knew of the first. */
const simultaneousMs = 5_000
/** How long a connection that would lose against another one of the same two nodes waits for that other one. */
const graceMs = 300
/** The other end of a connection greets as soon as it is there; without that, the connection is open at this end only. */
const silentMs = 4_000
const lookMs = 25

/** Of two connections between the same nodes the one stays that the larger key dialled. */
function staysOfTwo(stream: NoiseStream): boolean {
  return compareBytes(stream.publicKey, stream.remotePublicKey) > 0 === stream.isInitiator
}

export class OneConnectionSwarm extends Hyperswarm {
  readonly #nowMs: () => number
  readonly #openedAtMs = new WeakMap<NoiseStream, number>()

  constructor(options: HyperswarmOptions, nowMs: () => number) {
    super(options)
    this.#nowMs = nowMs
    this.on('connection', (stream: NoiseStream) => this.#openedAtMs.set(stream, nowMs()))
  }

  /**
   * The library drops a connection that has carried data when its peer dials again, taking it for lost. In the first seconds it isn't: the
   * peer dialled at the same moment, and keeps ours.
   */
  override _handleServerConnection(stream: NoiseStream): void {
    const existing = this._allConnections.get(stream.remotePublicKey)
    const openedAtMs = existing && this.#openedAtMs.get(existing)
    const isRecent = openedAtMs !== undefined && this.#nowMs() - openedAtMs < simultaneousMs
    if (!existing || !isRecent || staysOfTwo(stream)) return super._handleServerConnection(stream)
    stream.on('error', () => {})
    stream.destroy(new Error('Duplicate connection'))
  }
}

interface Unsettled {
  readonly stream: NoiseStream
  readonly sinceMs: number
  settled(): void
}

/** Holds connections back until both ends have them, and no better one has come. */
export class Settling {
  readonly #nowMs: () => number
  readonly #waiting = new Set<Unsettled>()
  #timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Calls back once, unless the connection ends before. Nothing is read from it meanwhile. */
  add(stream: NoiseStream, settled: () => void): void {
    const unsettled: Unsettled = { stream, sinceMs: this.#nowMs(), settled }
    this.#waiting.add(unsettled)
    stream.on('error', () => {})
    stream.once('close', () => this.#waiting.delete(unsettled))
    this.#timer ??= setInterval(() => this.#look(), lookMs).unref()
  }

  close(): void {
    clearInterval(this.#timer)
    for (const { stream } of this.#waiting) stream.destroy()
    this.#waiting.clear()
  }

  #look(): void {
    for (const unsettled of this.#waiting) {
      const { stream, sinceMs, settled } = unsettled
      const ageMs = this.#nowMs() - sinceMs
      const isGreeted = !stream._setup
      if (isGreeted && (staysOfTwo(stream) || ageMs >= graceMs)) {
        this.#waiting.delete(unsettled)
        settled()
      } else if (!isGreeted && ageMs >= silentMs) stream.destroy()
    }
    if (this.#waiting.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
