// What makes two base files "the same base": equal base ids. Quantised, renamed and re-ordered copies of one model share the id (norm
// tensors stay F32 in every llama.cpp quantisation); a full fine-tune does not. PROTOCOL.md has the table of hyper-parameters.
import { compareBytes, utf8 } from './bytes.ts'
import { encodeObject } from './fields.ts'
import { sha256, taggedId } from './signing.ts'

export interface BaseDescription {
  /** `general.architecture` of the GGUF. */
  readonly architecture: string
  /** Key without the architecture prefix -> integer, or the 32 bits of an f32; defaults filled in (`baseHyperparameters`). */
  readonly hyperparameters: Readonly<Record<string, number | readonly number[]>>
  /** All tensors, `shape` in ne order (innermost first), without an `output.weight` that equals `token_embd.weight`. */
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]
  /** SHA-256 of the little-endian bytes of every F32 norm tensor. */
  readonly norms: readonly { readonly name: string; readonly sha256: Uint8Array }[]
}

/** 32 bytes. Source of the definition: PROTOCOL.md, "Base id". */
export function baseIdOf(base: BaseDescription): Uint8Array {
  return taggedId(
    'base',
    encodeObject({
      architecture: base.architecture,
      hyperparameters: base.hyperparameters,
      tensors: sortedByName(base.tensors).map(({ name, shape }) => [name, shape]),
      norms: sortedByName(base.norms).map(({ name, sha256: digest }) => [name, digest]),
    }),
  )
}

export interface TokenizerDescription {
  /** `tokenizer.ggml.model`. */
  readonly model: string
  readonly tokens: readonly string[]
  /** `tokenizer.ggml.token_type`; empty when absent. */
  readonly types: readonly number[]
  /** `tokenizer.ggml.merges`; empty when absent. */
  readonly merges: readonly string[]
  /** Bits of `tokenizer.ggml.scores` as f32; empty when absent or when there are merges. */
  readonly scoreBits: readonly number[]
}

/**
 * 32 bytes over what decides token ids. Vocabularies have hundreds of thousands of entries, more than the canonical encoding holds in one
 * object, so each list enters as the SHA-256 of its items: strings as u32 length (little-endian) and bytes, numbers as u32 or i32 LE.
 * Token bytes that are not UTF-8 never occur: GGUF readers refuse them.
 */
export function tokenizerIdOf(tokenizer: TokenizerDescription): Uint8Array {
  return taggedId(
    'tokenizer',
    encodeObject({
      model: tokenizer.model,
      tokens: [tokenizer.tokens.length, stringListHash(tokenizer.tokens)],
      types: [tokenizer.types.length, numberListHash(tokenizer.types)],
      merges: [tokenizer.merges.length, stringListHash(tokenizer.merges)],
      scores: [tokenizer.scoreBits.length, numberListHash(tokenizer.scoreBits)],
    }),
  )
}

/** The 32 bits of a number as f32, as an unsigned integer: how fractional hyper-parameters enter the base id. */
export function f32Bits(value: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  return view.getUint32(0)
}

function sortedByName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return items.toSorted((a, b) => compareBytes(utf8(a.name), utf8(b.name)))
}

function stringListHash(items: readonly string[]): Uint8Array {
  const encoded = items.map(utf8)
  const out = new Uint8Array(encoded.reduce((total, item) => total + 4 + item.length, 0))
  const view = new DataView(out.buffer)
  let offset = 0
  for (const item of encoded) {
    view.setUint32(offset, item.length, true)
    out.set(item, offset + 4)
    offset += 4 + item.length
  }
  return sha256(out)
}

function numberListHash(items: readonly number[]): Uint8Array {
  const out = new Uint8Array(items.length * 4)
  const view = new DataView(out.buffer)
  for (const [i, item] of items.entries()) view.setUint32(i * 4, item >>> 0, true)
  return sha256(out)
}
