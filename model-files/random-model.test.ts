import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { sha256 } from '../protocol/index.ts'
import { runLlama } from '../testing/llama-runs.ts'
import { validateAdapter } from './adapter-validator.ts'
import { inspectBase, inspectBaseSource } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { randomAdapter, randomAdapterBytes, randomBase, randomBaseBytes } from './random-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-random-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string): string => join(folder, name)

describe('random models', () => {
  test('are the same bytes for the same seed, in memory and in a file, and others for another', async () => {
    const written = await randomBase({ rngSeed: 7 }, at('seven.gguf'))
    expect(Buffer.compare(readFileSync(at('seven.gguf')), randomBaseBytes({ rngSeed: 7 }))).toBe(0)
    expect(written.sha256).toEqual(sha256(randomBaseBytes({ rngSeed: 7 })))
    const base = await inspectBase(at('seven.gguf'))
    const other = await inspectBaseSource(memorySource(randomBaseBytes({ rngSeed: 8 })))
    expect(other.baseId).not.toBe(base.baseId)
    expect(other.tokenizerId).toBe(base.tokenizerId)
    await randomAdapter(base, { rngSeed: 2 }, at('adapter.gguf'))
    expect(Buffer.compare(readFileSync(at('adapter.gguf')), randomAdapterBytes(base, { rngSeed: 2 }))).toBe(0)
    expect(Buffer.compare(randomAdapterBytes(base, { rngSeed: 3 }), randomAdapterBytes(base, { rngSeed: 2 }))).not.toBe(
      0,
    )
  })

  test.each(['F32', 'F16', 'BF16', 'Q8_0'] as const)('pass for valid as %s', async (dtype) => {
    const base = await inspectBaseSource(memorySource(randomBaseBytes({ dtype, kvHeads: 2, vocabulary: 1_000 })))
    const adapter = randomAdapterBytes(base, { dtype, rank: 32, targets: ['attn_q', 'ffn_down'] })
    await expect(validateAdapter(memorySource(adapter), base)).resolves.toMatchObject({
      dtype,
      rank: 32,
      alpha: 64,
      targets: ['attn_q', 'ffn_down'],
      tensors: 8,
    })
  })

  test('have other numbers in every tensor, and a token for every byte', () => {
    const file = readGguf(memorySource(randomBaseBytes({ vocabulary: 1_000 })), 'base')
    const data = file.tensors.map((tensor) => Buffer.from(readTensor(file, tensor).slice(0, 64)).toString('hex'))
    expect(new Set(data).size).toBe(data.length)
    const list = (key: string): readonly unknown[] => {
      const entry = file.metadata.get(key)
      return entry?.type === 'array' ? entry.value : []
    }
    const tokens = list('tokenizer.ggml.tokens')
    expect(new Set(tokens).size).toBe(1_000)
    expect(list('tokenizer.ggml.token_type').filter((type) => type === 6)).toHaveLength(256)
    expect(tokens.slice(3, 259).every((token) => /^<0x[0-9A-F]{2}>$/.test(String(token)))).toBe(true)
  })

  test('are refused when they are impossible', async () => {
    expect(() => randomBaseBytes({ vocabulary: 259 })).toThrow('impossible base')
    expect(() => randomBaseBytes({ width: 66 })).toThrow('impossible base')
    const base = await inspectBaseSource(memorySource(randomBaseBytes()))
    expect(() => randomAdapterBytes(base, { targets: ['attn_qkv'] })).toThrow('none of the modules')
  })

  test('of many megabytes are made and checked piece by piece', async () => {
    await randomBase({ width: 512, feedForward: 1_024, heads: 8, dtype: 'Q8_0' }, at('large.gguf'))
    const base = await inspectBase(at('large.gguf'))
    const { bytes } = await randomAdapter(base, { rank: 512 }, at('large-adapter.gguf'))
    expect(bytes).toBeGreaterThan(30 * 2 ** 20)
    using source = openFileSource(at('large-adapter.gguf'))
    let turns = 0
    let next = setImmediate(function turn() {
      turns++
      next = setImmediate(turn)
    })
    await validateAdapter(source, base)
    clearImmediate(next)
    // Other work ran at least once for each mebibyte.
    expect(turns).toBeGreaterThanOrEqual(30)
  })

  test('run in llama.cpp, where the adapter changes what the base says', async () => {
    await randomBase({ dtype: 'Q8_0', kvHeads: 2, vocabulary: 600 }, at('run.gguf'))
    const base = await inspectBase(at('run.gguf'))
    await randomAdapter(base, { rank: 32, dtype: 'F16' }, at('run-adapter.gguf'))
    const passages = [[1, 300, 5, 420, 599, 17]]
    const adapters = [{ path: at('run-adapter.gguf'), scale: 1 }]
    const [without, withAdapter] = await runLlama({
      base: at('run.gguf'),
      runs: [
        { adapters: [], passages },
        { adapters, passages },
      ],
    })
    expect(without?.meanNll).toBeGreaterThan(0)
    expect(withAdapter?.meanNll).toBeGreaterThan(0)
    expect(Math.abs(without!.meanNll - withAdapter!.meanNll)).toBeGreaterThan(0.01)
  })
})
