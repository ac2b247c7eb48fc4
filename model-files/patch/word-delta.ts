// Exact differences of numbers that are one word each: F32, F16, BF16, and the scales of Q8_0. Bits of floats are mapped to integers in the
// order of the numbers, so that a small change is a small integer whatever the sign; integers are put in the order of the older number's
// exponent, which tells how large a difference to expect, and cut into groups; each group is packed one byte plane at a time.
// Measured on BF16 with a small update: 38 % of the file without that order, 30 % with it.

export type Words = Uint16Array | Uint32Array

export interface WordFormat {
  readonly bytes: 2 | 4
  /** Where the exponent of a number stands. */
  readonly exponentShift: number
  readonly exponentMask: number
}

export const f32Words: WordFormat = { bytes: 4, exponentShift: 23, exponentMask: 0xff }
export const f16Words: WordFormat = { bytes: 2, exponentShift: 10, exponentMask: 0x1f }
export const bf16Words: WordFormat = { bytes: 2, exponentShift: 7, exponentMask: 0xff }

/** How newer words are written beside older ones: as streams of bytes whose number and lengths follow from the older words alone. */
export interface WordDelta {
  readonly lengths: readonly number[]
  split(newer: Words): Uint8Array[]
  join(streams: readonly Uint8Array[]): Words
}

/** Smaller groups would cost more than they save. */
const groupMin = 2_048

export function wordDelta(format: WordFormat, older: Words): WordDelta {
  const order = byExponent(format, older)
  const groups = groupsOf(format, older, order)
  const planes = Array.from({ length: format.bytes }, (_, plane) => 8 * plane)
  return {
    lengths: groups.flatMap(([from, to]) => planes.map(() => to - from)),
    split(newer) {
      const differences = older.map((word, index) => difference(format, word, newer[index]!))
      return groups.flatMap(([from, to]) =>
        planes.map((shift) => Uint8Array.from(order.subarray(from, to), (index) => differences[index]! >>> shift)),
      )
    },
    join(streams) {
      const newer = older.slice()
      for (const [group, [from, to]] of groups.entries()) {
        const differences = new Uint32Array(to - from)
        for (const [plane, shift] of planes.entries()) {
          const bytes = streams[group * planes.length + plane]!
          for (let i = 0; i < bytes.length; i++) differences[i]! |= bytes[i]! << shift
        }
        for (let i = from; i < to; i++) newer[order[i]!] = sum(format, older[order[i]!]!, differences[i - from]!)
      }
      return newer
    },
  }
}

/** Positions by the exponent of the word there; those of one exponent as they stand. */
function byExponent({ exponentShift, exponentMask }: WordFormat, words: Words): Uint32Array {
  const next = new Uint32Array(exponentMask + 2)
  for (const word of words) next[((word >>> exponentShift) & exponentMask) + 1]!++
  for (let exponent = 1; exponent <= exponentMask; exponent++) next[exponent]! += next[exponent - 1]!
  const order = new Uint32Array(words.length)
  for (let index = 0; index < words.length; index++) {
    order[next[(words[index]! >>> exponentShift) & exponentMask]!++] = index
  }
  return order
}

/** Ranges of the order, one after another: they end where an exponent does, and hold at least `groupMin` words but for the last. */
function groupsOf({ exponentShift, exponentMask }: WordFormat, words: Words, order: Uint32Array): [number, number][] {
  const exponentAt = (i: number): number => (words[order[i]!]! >>> exponentShift) & exponentMask
  const groups: [number, number][] = []
  let from = 0
  for (let to = 1; to <= order.length; to++) {
    const ends = to === order.length || (to - from >= groupMin && exponentAt(to) !== exponentAt(to - 1))
    if (!ends) continue
    groups.push([from, to])
    from = to
  }
  return groups
}

/** Zigzag: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..., modulo the size of a word. */
function difference({ bytes }: WordFormat, older: number, newer: number): number {
  const shift = 32 - 8 * bytes
  const signed = ((placeOf(bytes, newer) - placeOf(bytes, older)) << shift) >> shift
  return (signed << 1) ^ (signed >> 31)
}

function sum({ bytes }: WordFormat, older: number, zigzag: number): number {
  return wordAt(bytes, placeOf(bytes, older) + ((zigzag >>> 1) ^ -(zigzag & 1)))
}

/** Floats in the order of their numbers, negative ones below the middle. As a signed integer where words have 32 bits. */
function placeOf(bytes: 2 | 4, word: number): number {
  const sign = bytes === 2 ? 0x8000 : 0x8000_0000
  if ((word & sign) === 0) return word | sign
  return bytes === 2 ? ~word & 0xffff : ~word
}

function wordAt(bytes: 2 | 4, place: number): number {
  const sign = bytes === 2 ? 0x8000 : 0x8000_0000
  if ((place & sign) !== 0) return place & (sign - 1)
  return bytes === 2 ? ~place & 0xffff : ~place
}
