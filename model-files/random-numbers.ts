// A small generator of repeatable numbers: for test models, and for the beginnings and the order of a training. No secrets.

/** Even numbers from -1 (included) to 1, a different sequence for each pair of seed and stream (mulberry32 after mixing both). */
export function randomNumbers(rngSeed: number, stream: number): () => number {
  let state = Math.imul(rngSeed, 0x85eb_ca6b) ^ Math.imul(stream + 1, 0xc2b2_ae35)
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) | 0) / 2 ** 31
  }
}
