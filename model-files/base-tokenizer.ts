// The tokenizer digest of a base: whatever decides which token id stands for which text.
import { MeshError, tokenizerIdOf } from '../protocol/index.ts'
import type { GgufFile } from './gguf-format.ts'

/** 32 bytes, see `tokenizerIdOf`. Throws `gguf-refused` for a file without a usable tokenizer. */
export function tokenizerIdOfFile(file: GgufFile): Uint8Array {
  const model = file.metadata.get('tokenizer.ggml.model')
  if (model?.type !== 'string') throw refused('tokenizer.ggml.model is missing')
  const tokens = strings(file, 'tokenizer.ggml.tokens')
  if (tokens.length === 0) throw refused('tokenizer.ggml.tokens is missing')
  const types = integers(file, 'tokenizer.ggml.token_type')
  const merges = strings(file, 'tokenizer.ggml.merges')
  // Where there are merges, they decide; some converters add meaningless scores.
  const scores = merges.length > 0 ? [] : floats(file, 'tokenizer.ggml.scores')
  for (const [name, list] of [['token_type', types] as const, ['scores', scores] as const]) {
    if (list.length > 0 && list.length !== tokens.length) {
      throw refused(`tokenizer.ggml.${name} has ${list.length} items for ${tokens.length} tokens`)
    }
  }
  return tokenizerIdOf({
    model: model.value,
    tokens,
    types,
    merges,
    scoreBits: [...new Uint32Array(Float32Array.from(scores).buffer)],
  })
}

function strings(file: GgufFile, key: string): readonly string[] {
  const entry = file.metadata.get(key)
  if (entry === undefined) return []
  if (entry.type !== 'array' || entry.itemType !== 'string') throw refused(`${key} is not a list of strings`)
  return entry.value
}

function integers(file: GgufFile, key: string): readonly number[] {
  const entry = file.metadata.get(key)
  if (entry === undefined) return []
  if (entry.type !== 'array' || (entry.itemType !== 'int32' && entry.itemType !== 'uint32')) {
    throw refused(`${key} is not a list of 32-bit integers`)
  }
  return entry.value
}

function floats(file: GgufFile, key: string): readonly number[] {
  const entry = file.metadata.get(key)
  if (entry === undefined) return []
  if (entry.type !== 'array' || entry.itemType !== 'float32') throw refused(`${key} is not a list of 32-bit floats`)
  return entry.value
}

function refused(problem: string): MeshError {
  return new MeshError('gguf-refused', `This model file can't be a base: ${problem}.`)
}
