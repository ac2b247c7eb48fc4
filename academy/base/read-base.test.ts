import { writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openFileSource, randomBaseBytes, readGguf, readTensor, writeGguf } from '../../model-files/index.ts'
import type { GgufValue } from '../../model-files/index.ts'
import { readBase } from './read-base.ts'

interface Change {
  readonly metadata?: Readonly<Record<string, GgufValue | undefined>>
  readonly tensor?: (name: string, bytes: Uint8Array) => Uint8Array | undefined
}

/** A small base of random numbers, changed. */
async function readChanged({ metadata = {}, tensor = (_, bytes) => bytes }: Change) {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-base-'))
  const path = join(folder.path, 'base.gguf')
  writeFileSync(path, randomBaseBytes({ layers: 1, width: 32, heads: 4, kvHeads: 2, feedForward: 48 }))
  const changed = ((): Uint8Array => {
    using source = openFileSource(path)
    const file = readGguf(source, 'base')
    const entries = new Map<string, GgufValue | undefined>([...file.metadata, ...Object.entries(metadata)])
    return writeGguf({
      metadata: [...entries].flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
      tensors: file.tensors.flatMap(({ name, type, shape }) => {
        const data = tensor(name, readTensor(file, { ...file.tensors.find((one) => one.name === name)! }))
        return data === undefined ? [] : [{ name, type, shape, data }]
      }),
    })
  })()
  writeFileSync(path, changed)
  using base = await readBase(path)
  base.read('blk.0.attn_q.weight')
  return { bos: base.bos, eos: base.eos, shape: base.shape }
}

const u32 = (value: number): GgufValue => ({ type: 'uint32', value })
const f32 = (value: number): GgufValue => ({ type: 'float32', value })
const text = (value: string): GgufValue => ({ type: 'string', value })

describe('a base', () => {
  test('is read with its shape and the tokens that begin and end a text', async () => {
    expect(await readChanged({})).toMatchObject({
      bos: 1,
      eos: 2,
      shape: { width: 32, kvHeads: 2, headSize: 8, tied: false },
    })
  })

  test('with an SPM tokenizer that names no ids gets those that llama.cpp takes, and none in front where it says so', async () => {
    const none = { 'tokenizer.ggml.bos_token_id': undefined, 'tokenizer.ggml.eos_token_id': undefined }
    expect(await readChanged({ metadata: none })).toMatchObject({ bos: 1, eos: 2 })
    const not: GgufValue = { type: 'bool', value: false }
    expect((await readChanged({ metadata: { 'tokenizer.ggml.add_bos_token': not } })).bos).toBeUndefined()
  })

  test('without an output matrix is tied', async () => {
    const found = await readChanged({ tensor: (name, bytes) => (name === 'output.weight' ? undefined : bytes) })
    expect(found.shape.tied).toBe(true)
  })

  // Each of these llama.cpp computes otherwise than the plain architecture, or not at all.
  test.each<[string, Change, string]>([
    ['a scaled rotary embedding', { metadata: { 'llama.rope.scaling.type': text('linear') } }, 'scaled'],
    ['a scaling factor without a type', { metadata: { 'llama.rope.scaling.factor': f32(4) } }, 'scaled'],
    ['the old name of that factor', { metadata: { 'llama.rope.scale_linear': f32(4) } }, 'scaled'],
    ['an attention factor', { metadata: { 'llama.rope.scaling.attn_factor': f32(2) } }, 'scaled'],
    ['heads that are turned in part', { metadata: { 'llama.rope.dimension_count': u32(4) } }, 'turns 4 of 8'],
    ['an impossible frequency base', { metadata: { 'llama.rope.freq_base': f32(1e-30) } }, 'freq_base'],
    ['a negative epsilon', { metadata: { 'llama.attention.layer_norm_rms_epsilon': f32(-1) } }, 'epsilon'],
    ['no context', { metadata: { 'llama.context_length': u32(0) } }, 'context length is 0'],
    ['experts', { metadata: { 'llama.expert_count': u32(8) } }, 'experts'],
    ['a missing matrix', { tensor: (name, bytes) => (name.endsWith('ffn_up.weight') ? undefined : bytes) }, 'ffn_up'],
    [
      'a number that is none',
      { tensor: (name, bytes) => (name.endsWith('attn_q.weight') ? bytes.map(() => 0xff) : bytes) },
      'NaN',
    ],
  ])('with %s is refused by name', async (_, change, sentence) => {
    await expect(readChanged(change)).rejects.toMatchObject({
      code: 'gguf-refused',
      message: expect.stringContaining(sentence),
    })
  })

  test('that scales by one, in whatever words, is a plain one', async () => {
    const neutral = { 'llama.rope.scaling.type': text('none'), 'llama.rope.scaling.factor': f32(1) }
    expect((await readChanged({ metadata: neutral })).shape.turned).toBe(8)
  })
})
