// Which missing piece to ask for next: the rarest, with chance deciding among equals so that not everyone fetches in the same order.
// The library's own picker scans all pieces for every try, which costs seconds of CPU on a file of a few hundred pieces.
import type { PiecePicker, Torrent } from 'webtorrent'

const reorderMs = 500

export class PieceOrder implements PiecePicker {
  readonly #torrent: Torrent
  readonly #chance: readonly number[]
  readonly #nowMs: () => number
  #order: readonly number[] = []
  #orderedAtMs = -Infinity
  /** One pass over the pieces uses one filter; what it refused once it refuses again, so a pass never starts over. */
  #filter: ((index: number) => boolean) | undefined
  #cursor = 0

  constructor(torrent: Torrent, random: () => number, nowMs: () => number) {
    this.#torrent = torrent
    this.#chance = torrent.pieces.map(random)
    this.#nowMs = nowMs
  }

  getRarestPiece(filter: (index: number) => boolean): number {
    if (filter !== this.#filter) {
      this.#filter = filter
      this.#cursor = 0
      this.#reorder()
    }
    for (; this.#cursor < this.#order.length; this.#cursor++) {
      const index = this.#order[this.#cursor]!
      if (this.#torrent.pieces[index] && filter(index)) return index
    }
    return -1
  }

  destroy(): void {
    this.#filter = undefined
    this.#order = []
  }

  #reorder(): void {
    const nowMs = this.#nowMs()
    if (nowMs - this.#orderedAtMs < reorderMs) return
    this.#orderedAtMs = nowMs
    const { pieces, wires } = this.#torrent
    const missing = [...pieces.keys()].filter((index) => pieces[index])
    const rarity = new Map(missing.map((index) => [index, this.#chance[index]! + holders(wires, index)]))
    this.#order = missing.toSorted((a, b) => rarity.get(a)! - rarity.get(b)!)
    // The manifest lies at the start: having it first, a release that is refused anyway costs no more than it.
    if (this.#order[0] !== 0 && pieces[0]) this.#order = [0, ...this.#order.filter((index) => index !== 0)]
  }
}

function holders(wires: Torrent['wires'], index: number): number {
  return wires.reduce((count, wire) => count + (wire.peerPieces.get(index) ? 1 : 0), 0)
}
