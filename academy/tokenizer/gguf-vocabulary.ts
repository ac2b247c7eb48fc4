// A byte-level BPE vocabulary as the metadata of a base file, and back. Bases are written by us and by others; from a base of others we take
// the vocabulary only if ours would give the same ids as llama.cpp, and say `undefined` in every other case.
// Keys: github.com/ggml-org/ggml, docs/gguf.md, "Tokenizer".
import type { GgufValue } from '../../model-files/index.ts'
import { byteCharacters } from './byte-characters.ts'
import { tokenType } from './vocabulary.ts'
import type { ByteLevelVocabulary, MergePair } from './vocabulary.ts'

const tokenizerModel = 'gpt2'
const preTokenizer = 'gpt-2'

/** The entries of a base file that hold the vocabulary. Without BOS, llama.cpp is told to add none. */
export function vocabularyMetadata(vocabulary: ByteLevelVocabulary): [string, GgufValue][] {
  const { tokens, types, bos, eos } = vocabulary
  const merges = vocabulary.merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`)
  const entries: [string, GgufValue][] = [
    ['tokenizer.ggml.model', { type: 'string', value: tokenizerModel }],
    ['tokenizer.ggml.pre', { type: 'string', value: preTokenizer }],
    ['tokenizer.ggml.tokens', { type: 'array', itemType: 'string', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'array', itemType: 'int32', value: types }],
    ['tokenizer.ggml.merges', { type: 'array', itemType: 'string', value: merges }],
  ]
  if (bos !== undefined) entries.push(['tokenizer.ggml.bos_token_id', { type: 'uint32', value: bos }])
  if (eos !== undefined) entries.push(['tokenizer.ggml.eos_token_id', { type: 'uint32', value: eos }])
  entries.push(['tokenizer.ggml.add_bos_token', { type: 'bool', value: bos !== undefined }])
  return entries
}

/**
 * The vocabulary of a base, or undefined: another tokenizer model or pre-tokenizer, no merges, a byte without a token, a token that is
 * listed twice (llama.cpp aborts there), a merge that isn't two tokens whose texts together are a third, or ids outside the vocabulary.
 * A base that names no BOS or EOS has none here; llama.cpp falls back to token 11 for both.
 */
export function vocabularyOf(metadata: ReadonlyMap<string, GgufValue>): ByteLevelVocabulary | undefined {
  const entry = (key: string): GgufValue | undefined => metadata.get(`tokenizer.ggml.${key}`)
  if (entry('model')?.value !== tokenizerModel || entry('pre')?.value !== preTokenizer) return undefined
  const tokens = stringsOf(entry('tokens'))
  const mergeTexts = stringsOf(entry('merges'))
  if (tokens === undefined || mergeTexts === undefined) return undefined
  const ids = new Map(tokens.map((text, id) => [text, id] as const))
  const types = typesOf(entry('token_type'), tokens.length)
  const merges = mergesOf(mergeTexts, ids)
  const bos = specialIdOf(entry('bos_token_id'), tokens.length)
  const eos = specialIdOf(entry('eos_token_id'), tokens.length)
  if (ids.size !== tokens.length || types === undefined || merges === undefined) return undefined
  if (bos === 'wrong' || eos === 'wrong') return undefined
  const hasByte = (character: string): boolean => types[ids.get(character) ?? -1] === tokenType.normal
  if (!byteCharacters.every(hasByte)) return undefined
  return { tokens, types, merges, bos, eos }
}

function stringsOf(entry: GgufValue | undefined): readonly string[] | undefined {
  return entry?.type === 'array' && entry.itemType === 'string' ? entry.value : undefined
}

/** Where a base doesn't say, all tokens are normal. */
function typesOf(entry: GgufValue | undefined, count: number): readonly number[] | undefined {
  if (entry === undefined) return Array.from({ length: count }, () => tokenType.normal)
  if (entry.type !== 'array' || (entry.itemType !== 'int32' && entry.itemType !== 'uint32')) return undefined
  return entry.value.length === count ? entry.value : undefined
}

function mergesOf(texts: readonly string[], ids: ReadonlyMap<string, number>): readonly MergePair[] | undefined {
  const merges = texts.map((text) => mergeOf(text, ids))
  return merges.every((merge) => merge !== undefined) ? merges : undefined
}

/** "left right"; no token has a space in it, because a space is written in byte characters. */
function mergeOf(text: string, ids: ReadonlyMap<string, number>): MergePair | undefined {
  const [left = '', right = '', ...more] = text.split(' ')
  const leftId = ids.get(left)
  const rightId = ids.get(right)
  if (leftId === undefined || rightId === undefined || more.length > 0 || !ids.has(left + right)) return undefined
  return [leftId, rightId]
}

function specialIdOf(entry: GgufValue | undefined, count: number): number | 'wrong' | undefined {
  if (entry === undefined) return undefined
  const isId = (entry.type === 'uint32' || entry.type === 'int32') && entry.value >= 0 && entry.value < count
  return isId ? entry.value : 'wrong'
}
