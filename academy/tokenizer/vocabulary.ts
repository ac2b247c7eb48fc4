// The vocabulary of a byte-level BPE tokenizer as a value. Training makes one, a base file may hold one, encoding and decoding need one.

/** What a token is for; the numbers are those of `tokenizer.ggml.token_type`. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export interface ByteLevelVocabulary {
  /** By token id, no text twice. Normal tokens are written in byte characters (see byte-characters.ts), the others as plain text. */
  readonly tokens: readonly string[]
  /** By token id, see `tokenType`. */
  readonly types: readonly number[]
  /** Which two token ids may become one, the first to be applied first. What they become is the token that holds both texts. */
  readonly merges: readonly MergePair[]
  /** What a text begins with; a base may have none. */
  readonly bos: number | undefined
  readonly eos: number | undefined
}

export type MergePair = readonly [left: number, right: number]

/** One number per ordered pair of token ids; smaller pairs (left id first, then right id) have smaller keys. */
export function pairKey(left: number, right: number): number {
  return left * pairBase + right
}

export function pairOfKey(key: number): MergePair {
  return [Math.floor(key / pairBase), key % pairBase]
}

// Two ids of 26 bits fit exactly into a double. Every vocabulary that fits into a model file has far fewer tokens.
const pairBase = 1 << 26
