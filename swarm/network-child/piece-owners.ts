// Who sent which piece, so that a bad one has a culprit. A piece is asked of one peer at a time; only when nothing else is left do
// peers share one, and if such a piece fails, it is fetched again from a single peer each time until it is known who lies.
export type Verdict =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'suspects' }
  | { readonly kind: 'guilty'; readonly peer: string }

export class PieceOwners {
  readonly #owner = new Map<number, string>()
  readonly #senders = new Map<number, Set<string>>()
  readonly #alone = new Set<number>()

  /** Whether `peer` may be asked for a part of `index`. `last`: there is no piece left that nobody else is sending. */
  mayAsk(index: number, peer: string, last: boolean, isAlive: (peer: string) => boolean): boolean {
    const owner = this.#owner.get(index)
    if (owner === undefined || owner === peer || !isAlive(owner)) return true
    return last && !this.#alone.has(index)
  }

  asked(index: number, peer: string): void {
    this.#owner.set(index, peer)
  }

  received(index: number, peer: string): void {
    const senders = this.#senders.get(index) ?? new Set<string>()
    this.#senders.set(index, senders.add(peer))
  }

  verified(index: number): void {
    this.#clear(index)
    this.#alone.delete(index)
  }

  failed(index: number): Verdict {
    const senders = [...(this.#senders.get(index) ?? [])]
    this.#clear(index)
    this.#alone.add(index)
    if (senders.length === 0) return { kind: 'nobody' }
    return senders.length === 1 ? { kind: 'guilty', peer: senders[0]! } : { kind: 'suspects' }
  }

  #clear(index: number): void {
    this.#owner.delete(index)
    this.#senders.delete(index)
  }
}
