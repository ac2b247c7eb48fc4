// Merging the byte tokens of one word in the order of the merges, in O(n log n) however long the word is: the tokens are a linked list and
// the merges that are possible now wait in a heap. llama.cpp does the same, so even merges that no training would make give equal ids.
import { pairKey } from './vocabulary.ts'

export interface MergeTable {
  /** Rank by `pairKey`; the lowest rank is applied first. */
  readonly ranks: ReadonlyMap<number, number>
  /** Token id by rank. */
  readonly results: Int32Array
}

/** Applies every possible merge, the lowest rank first and at equal rank the leftmost. The ids given are overwritten. */
export function mergeWord(ids: Int32Array, merges: MergeTable): number[] {
  const next = Int32Array.from(ids, (_, at) => at + 1)
  const previous = Int32Array.from(ids, (_, at) => at - 1)
  const rankAt = (left: number): number | undefined => {
    const right = next[left]!
    return right < ids.length ? merges.ranks.get(pairKey(ids[left]!, ids[right]!)) : undefined
  }
  // A heap of single numbers: rank first, then position.
  const heap: number[] = []
  const offer = (left: number): void => {
    const rank = rankAt(left)
    if (rank !== undefined) push(heap, rank * ids.length + left)
  }
  for (let left = 0; left + 1 < ids.length; left++) offer(left)
  while (heap.length > 0) {
    const least = pop(heap)
    const left = least % ids.length
    const rank = Math.floor(least / ids.length)
    // Tokens only grow, so an entry is out of date exactly if its token is gone or forms another pair now.
    if (ids[left] === gone || rankAt(left) !== rank) continue
    const right = next[left]!
    const after = next[right]!
    ids[left] = merges.results[rank]!
    ids[right] = gone
    next[left] = after
    if (after < ids.length) previous[after] = left
    if (left > 0) offer(previous[left]!)
    offer(left)
  }
  return Array.from(ids.filter((id) => id !== gone))
}

const gone = -1

function push(heap: number[], value: number): void {
  let at = heap.length
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (heap[parent]! <= value) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = value
}

/** The least value, taken out; the heap isn't empty. */
function pop(heap: number[]): number {
  const least = heap[0]!
  const last = heap.pop()!
  if (heap.length === 0) return least
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
    if (heap[child]! >= last) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return least
}
