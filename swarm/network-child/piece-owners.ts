// Who sent which piece, so that a bad one has a culprit. A piece is asked of one peer at a time; only when nothing else is left, or the
// one who was asked stays silent, do peers share one. If such a piece fails, it is fetched again from a single peer each time until it is
// known who lies.
export type Verdict =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'suspects' }
  | { readonly kind: 'guilty'; readonly peer: string }

/** A peer that sent no block at all for this long no longer keeps others from the pieces that it was asked for. */
export const silentMs = 8_000

export class PieceOwners {
  readonly #nowMs: () => number
  readonly #owner = new Map<number, { readonly peer: string; readonly sinceMs: number }>()
  readonly #senders = new Map<number, Set<string>>()
  /** Pieces that are to come from one peer as a whole. */
  readonly #alone = new Set<number>()
  readonly #lastBlockAtMs = new Map<string, number>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /**
   * Whether `peer` may be asked for a part of `index`. `last`: there is no piece left that nobody else is sending. `anew`: yes, but what
   * others sent of it, or were asked for, must be dropped first (see `begunAnew`).
   */
  mayAsk(index: number, peer: string, last: boolean, isAlive: (peer: string) => boolean): 'no' | 'yes' | 'anew' {
    const owner = this.#owner.get(index)
    const isAlone = this.#alone.has(index)
    if (owner !== undefined && owner.peer !== peer && isAlive(owner.peer)) {
      if (this.#nowMs() - Math.max(owner.sinceMs, this.#lastBlockAtMs.get(owner.peer) ?? 0) > silentMs) return 'anew'
      if (isAlone || !last) return 'no'
    }
    const senders = [...(this.#senders.get(index) ?? [])]
    return isAlone && senders.some((sender) => sender !== peer) ? 'anew' : 'yes'
  }

  asked(index: number, peer: string): void {
    if (this.#owner.get(index)?.peer !== peer) this.#owner.set(index, { peer, sinceMs: this.#nowMs() })
  }

  received(index: number, peer: string): void {
    this.#lastBlockAtMs.set(peer, this.#nowMs())
    // Late, for a piece that was begun anew: it is not part of it.
    if (this.#alone.has(index) && this.#owner.get(index)?.peer !== peer) return
    const senders = this.#senders.get(index) ?? new Set<string>()
    this.#senders.set(index, senders.add(peer))
  }

  begunAnew(index: number): void {
    this.#clear(index)
    this.#alone.add(index)
  }

  verified(index: number): void {
    this.#clear(index)
    this.#alone.delete(index)
  }

  failed(index: number): Verdict {
    const senders = [...(this.#senders.get(index) ?? [])]
    this.begunAnew(index)
    if (senders.length === 0) return { kind: 'nobody' }
    return senders.length === 1 ? { kind: 'guilty', peer: senders[0]! } : { kind: 'suspects' }
  }

  gone(peer: string): void {
    this.#lastBlockAtMs.delete(peer)
  }

  #clear(index: number): void {
    this.#owner.delete(index)
    this.#senders.delete(index)
  }
}
