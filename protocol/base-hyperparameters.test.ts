import { describe, expect, test } from 'vitest'
import {
  baseHyperparameters,
  entersBaseId,
  hyperparameterBits,
  resolveHyperparameters,
  supportedArchitectures,
} from './base-hyperparameters.ts'
import { f32Bits } from './base-id.ts'
import type { HyperparameterValue } from './base-hyperparameters.ts'

const stated = (extra: Record<string, HyperparameterValue> = {}): Map<string, HyperparameterValue> =>
  new Map(
    Object.entries({
      block_count: 3,
      embedding_length: 64,
      feed_forward_length: 172,
      'attention.head_count': 8,
      'attention.layer_norm_rms_epsilon': 1e-5,
      ...extra,
    }),
  )

describe('hyper-parameters of the base id', () => {
  test("absent keys take llama.cpp's defaults", () => {
    expect(Object.fromEntries(resolveHyperparameters('llama', stated()))).toEqual({
      block_count: 3,
      embedding_length: 64,
      feed_forward_length: 172,
      expert_count: 0,
      expert_used_count: 0,
      'attention.head_count': 8,
      'attention.head_count_kv': 8,
      'attention.key_length': 8,
      'attention.value_length': 8,
      'attention.layer_norm_rms_epsilon': 1e-5,
      'attention.causal': 1,
      'rope.dimension_count': 8,
      'rope.freq_base': 10_000,
    })
  })

  test('rotary dimensions follow a stated key length', () => {
    const resolved = resolveHyperparameters('llama', stated({ 'attention.key_length': 24 }))
    expect(resolved.get('rope.dimension_count')).toBe(24)
    expect(resolved.get('attention.value_length')).toBe(8)
  })

  test("gemma2's local rotary base follows the global one, gemma3's does not", () => {
    const given = stated({ 'rope.freq_base': 1e6 })
    expect(resolveHyperparameters('gemma2', given).get('rope.freq_base_swa')).toBe(1e6)
    expect(resolveHyperparameters('gemma3', given).get('rope.freq_base_swa')).toBe(10_000)
  })

  test('stating a default changes nothing', () => {
    for (const architecture of supportedArchitectures) {
      const defaults = resolveHyperparameters(architecture, stated())
      expect(resolveHyperparameters(architecture, new Map(defaults))).toEqual(defaults)
    }
  })

  test('keys outside the table change nothing', () => {
    const given = stated({ context_length: 4096, 'attention.sliding_window': 512, vocab_size: 7 })
    for (const architecture of ['llama', 'phi3'] as const) {
      expect(resolveHyperparameters(architecture, given)).toEqual(resolveHyperparameters(architecture, stated()))
    }
  })

  test('one value per block means the same as one value when all are equal', () => {
    const perBlock = (values: number[]) =>
      resolveHyperparameters('llama', stated({ 'attention.head_count_kv': values }))
    expect(perBlock([4, 4, 4]).get('attention.head_count_kv')).toBe(4)
    expect(perBlock([4, 2, 4]).get('attention.head_count_kv')).toEqual([4, 2, 4])
    expect(() => perBlock([4, 4])).toThrow('llama.attention.head_count_kv has 2 values for 3 blocks')
  })

  test('fractions enter as the bits of an f32', () => {
    const bits = hyperparameterBits('llama', resolveHyperparameters('llama', stated()))
    expect(bits['rope.freq_base']).toBe(0x461c4000)
    expect(bits['attention.layer_norm_rms_epsilon']).toBe(f32Bits(Math.fround(1e-5)))
    expect(Object.keys(bits)).toEqual(baseHyperparameters.llama.map(({ key }) => key))
  })

  test.each([
    [{ block_count: 0 }, 'llama.block_count is 0'],
    [{ block_count: 513 }, 'llama.block_count is 513'],
    [{ block_count: 2.5 }, 'llama.block_count has the impossible value 2.5'],
    [{ embedding_length: [64, 64, 64] }, 'llama.embedding_length is a list'],
    [{ embedding_length: -1 }, 'llama.embedding_length has the impossible value -1'],
    [{ 'attention.causal': 2 }, 'llama.attention.causal has the impossible value 2'],
    [{ 'rope.freq_base': Number.NaN }, 'llama.rope.freq_base has the impossible value NaN'],
  ])('%j is refused', (extra, sentence) => {
    expect(() => resolveHyperparameters('llama', stated(extra))).toThrow(sentence)
  })

  test.each(['block_count', 'embedding_length', 'feed_forward_length', 'attention.head_count'])(
    'a file without %s is refused',
    (key) => {
      const given = stated()
      given.delete(key)
      expect(() => resolveHyperparameters('llama', given)).toThrow(`llama.${key} is missing`)
    },
  )
})

test('tables for rope scaling and scales of quantised formats stay out of the base id', () => {
  for (const name of [
    'rope_freqs.weight',
    'blk.0.rope_freqs.weight',
    'rope_factors_long.weight',
    'blk.3.attn_q.scale',
  ]) {
    expect(entersBaseId(name), name).toBe(false)
  }
  for (const name of ['output.weight', 'blk.0.attn_q.weight', 'blk.0.attn_q.bias', 'blk.0.attn_q_norm.weight']) {
    expect(entersBaseId(name), name).toBe(true)
  }
})
