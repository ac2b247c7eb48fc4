import { describe, expect, test } from 'vitest'
import { memorySource, readGguf, writeGguf } from '../../model-files/index.ts'
import type { GgufValue } from '../../model-files/index.ts'
import { byteCharacters } from './byte-characters.ts'
import { createByteLevelBpe } from './byte-level-bpe.ts'
import { vocabularyMetadata, vocabularyOf } from './gguf-vocabulary.ts'
import { awkwardTexts, mixedTexts, prose } from './testing/texts.ts'
import { trainBpe } from './train-bpe.ts'
import type { ByteLevelVocabulary } from './vocabulary.ts'

const trained = trainBpe([prose(20_000, 7), ...awkwardTexts], { vocabulary: 400 })

/** The metadata of a good base with some entries changed; undefined takes one out. */
function metadataWith(changes: Record<string, GgufValue | undefined> = {}): Map<string, GgufValue> {
  const metadata = new Map(vocabularyMetadata(trained))
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(`tokenizer.ggml.${key}`)
    else metadata.set(`tokenizer.ggml.${key}`, value)
  }
  return metadata
}

const strings = (value: readonly string[]): GgufValue => ({ type: 'array', itemType: 'string', value })
const types = (value: readonly number[]): GgufValue => ({ type: 'array', itemType: 'int32', value })
const mergeTexts = trained.merges.map(([left, right]) => `${trained.tokens[left]} ${trained.tokens[right]}`)

test('a vocabulary comes back from the metadata of a file as it was', async () => {
  const bytes = writeGguf({ metadata: vocabularyMetadata(trained), tensors: [] })
  const { metadata } = await readGguf(memorySource(bytes), 'base')
  expect(vocabularyOf(metadata)).toEqual(trained)
})

test('the entries are those that llama.cpp reads', () => {
  const metadata = metadataWith()
  expect(Object.fromEntries([...metadata].filter(([, { type }]) => type !== 'array'))).toEqual({
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
    'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 0 },
    'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 1 },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
  })
  expect(metadata.get('tokenizer.ggml.tokens')).toEqual(strings(trained.tokens))
  expect(metadata.get('tokenizer.ggml.token_type')).toEqual(types(trained.types))
  expect(metadata.get('tokenizer.ggml.merges')).toEqual(strings(mergeTexts))
})

test('a vocabulary without BOS and EOS names none, and asks for none to be added', () => {
  const bare: ByteLevelVocabulary = { ...trained, bos: undefined, eos: undefined }
  const metadata = new Map(vocabularyMetadata(bare))
  expect([metadata.has('tokenizer.ggml.bos_token_id'), metadata.has('tokenizer.ggml.eos_token_id')]).toEqual([
    false,
    false,
  ])
  expect(metadata.get('tokenizer.ggml.add_bos_token')?.value).toBe(false)
  expect(vocabularyOf(metadata)).toEqual(bare)
})

describe('a base of others', () => {
  test('may leave out the types, and have ids of type int32', () => {
    const vocabulary = vocabularyOf(metadataWith({ token_type: undefined, eos_token_id: { type: 'int32', value: 5 } }))
    expect([new Set(vocabulary?.types), vocabulary?.types.length, vocabulary?.eos]).toEqual([new Set([1]), 400, 5])
  })

  test('may list a merge twice', () => {
    expect(vocabularyOf(metadataWith({ merges: strings([...mergeTexts, mergeTexts[0]!]) }))?.merges).toHaveLength(143)
  })

  test('may have tokens of other types behind or among its own', () => {
    const tokens = [...trained.tokens, '<|im_start|>', '    ', 'unused']
    const vocabulary = vocabularyOf(
      metadataWith({ tokens: strings(tokens), token_type: types([...trained.types, 3, 4, 5]) }),
    )!
    const bpe = createByteLevelBpe(vocabulary)
    expect(bpe.encode('a    b<|im_start|>').slice(0, 3)).toEqual([2 + 0x61, 401, 2 + 0x62])
    expect(bpe.decode([400, 2 + 0x61, 401, 402])).toBe('a    ')
  })

  test('may have fifty thousand tokens', () => {
    // Merges of two bytes, as many as there are: what matters is the size.
    const pairs = byteCharacters
      .flatMap((left) => byteCharacters.map((right) => [left, right] as const))
      .slice(0, 50_000)
    const tokens = [...trained.tokens.slice(0, 258), ...pairs.map(([left, right]) => `${left}${right}`)]
    const started = performance.now()
    const vocabulary = vocabularyOf(
      metadataWith({
        tokens: strings(tokens),
        token_type: types(tokens.map((_, id) => (id < 2 ? 3 : 1))),
        merges: strings(pairs.map(([left, right]) => `${left} ${right}`)),
      }),
    )!
    const bpe = createByteLevelBpe(vocabulary)
    expect(performance.now() - started).toBeLessThan(2000)
    expect(bpe.size).toBe(50_258)
    for (const text of mixedTexts(50, 9)) expect(bpe.decode(bpe.encode(text))).toBe(text)
  })
})

describe('there is no vocabulary for a base', () => {
  const without = (list: readonly string[], item: string): string[] =>
    list.map((text) => (text === item ? '[gone]' : text))
  test.each<[string, Record<string, GgufValue | undefined>]>([
    ['with another tokenizer model', { model: { type: 'string', value: 'llama' } }],
    ['that names no tokenizer model', { model: undefined }],
    ['with another pre-tokenizer', { pre: { type: 'string', value: 'llama-bpe' } }],
    ['that names no pre-tokenizer', { pre: undefined }],
    ['without tokens', { tokens: undefined }],
    ['without merges', { merges: undefined }],
    ['whose tokens are numbers', { tokens: types(trained.types) }],
    ['whose merges are no list', { merges: { type: 'string', value: 'a b' } }],
    ['in which a byte has no token', { tokens: strings(without(trained.tokens, 'Ā')) }],
    ['in which a byte is a control token', { token_type: types(trained.types.with(2, 3)) }],
    [
      'that lists a token twice',
      { tokens: strings([...trained.tokens, 'a']), token_type: types([...trained.types, 1]) },
    ],
    ['with fewer types than tokens', { token_type: types(trained.types.slice(1)) }],
    ['whose types are fractions', { token_type: { type: 'array', itemType: 'float32', value: trained.types } }],
    ['with a merge of one token', { merges: strings(['t']) }],
    ['with a merge of three tokens', { merges: strings([...mergeTexts, `${mergeTexts[0]} c`]) }],
    ['with a merge of nothing', { merges: strings(['', ...mergeTexts]) }],
    ['with a merge of a token with nothing', { merges: strings(['a ', ...mergeTexts]) }],
    ['with a merge of unknown tokens', { merges: strings(['qqqq zzzz']) }],
    ['with a merge that makes no token', { merges: strings(['q z']) }],
    ['whose BOS is outside the vocabulary', { bos_token_id: { type: 'uint32', value: 400 } }],
    ['whose EOS is negative', { eos_token_id: { type: 'int32', value: -1 } }],
    ['whose EOS is a text', { eos_token_id: { type: 'string', value: '<eos>' } }],
  ])('%s', (_, changes) => {
    expect(vocabularyOf(metadataWith())).toBeDefined()
    expect(vocabularyOf(metadataWith(changes))).toBeUndefined()
  })

  test('without any metadata', () => {
    expect(vocabularyOf(new Map())).toBeUndefined()
  })
})
