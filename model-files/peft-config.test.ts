import { describe, expect, test } from 'vitest'
import { readPeftConfig } from './peft-config.ts'

const valid = { peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 8, lora_alpha: 16 }
const read = (changes: Record<string, unknown> = {}) =>
  readPeftConfig(new TextEncoder().encode(JSON.stringify({ ...valid, ...changes })))
const refusal = (field: string, code = 'peft-unsupported') =>
  expect.objectContaining({ code, details: expect.objectContaining({ field }) })

describe('scaling of a module', () => {
  test('is alpha over rank', () => {
    expect(read().scalingOf('model.layers.0.self_attn.q_proj')).toEqual({ rank: 8, alpha: 16, scale: 2 })
  })

  test('is alpha over the root of the rank with rsLoRA', () => {
    expect(read({ use_rslora: true }).scalingOf('x').scale).toBe(16 / Math.sqrt(8))
  })

  test('looks rank and alpha up independently, the first matching pattern winning', () => {
    const config = read({
      rank_pattern: { 'layers\\.[01]\\.self_attn\\.q_proj': 2, q_proj: 4 },
      alpha_pattern: { 'model.layers.1.self_attn.q_proj': 64, up_proj: 32 },
    })
    expect(config.scalingOf('model.layers.0.self_attn.q_proj')).toEqual({ rank: 2, alpha: 16, scale: 8 })
    expect(config.scalingOf('model.layers.1.self_attn.q_proj')).toEqual({ rank: 2, alpha: 64, scale: 32 })
    expect(config.scalingOf('model.layers.2.self_attn.q_proj')).toEqual({ rank: 4, alpha: 16, scale: 4 })
    expect(config.scalingOf('model.layers.2.mlp.up_proj')).toEqual({ rank: 8, alpha: 32, scale: 4 })
  })

  test('with rsLoRA uses the rank of the pattern', () => {
    expect(read({ use_rslora: true, rank_pattern: { q_proj: 4 } }).scalingOf('a.q_proj').scale).toBe(8)
  })
})

test('listed target modules are told from others; a regular expression is not judged', () => {
  const listed = read({ target_modules: ['q_proj', 'self_attn.v_proj'] })
  expect(
    ['a.q_proj', 'q_proj', 'a.self_attn.v_proj', 'a.v_proj', 'a.xq_proj'].map((name) => listed.mayTarget(name)),
  ).toEqual([true, true, true, false, false])
  expect(read({ target_modules: 'all-linear' }).mayTarget('anything')).toBe(true)
  expect(read().mayTarget('anything')).toBe(true)
})

test('the class of the base is told where the config has it', () => {
  expect(read({ auto_mapping: { base_model_class: 'Qwen2ForCausalLM' } }).baseModelClass).toBe('Qwen2ForCausalLM')
  expect(read({ auto_mapping: null }).baseModelClass).toBeUndefined()
})

test('options that are switched off do no harm, known or not', () => {
  const harmless = {
    future_option: null,
    other: [],
    third: {},
    use_dora: false,
    loftq_config: {},
    bias: 'none',
    layer_replication: null,
  }
  expect(read(harmless).rank).toBe(8)
})

describe('refused by name', () => {
  test.each([
    ['peft_type', 'IA3'],
    ['peft_type', 'ADALORA'],
    ['task_type', 'SEQ_CLS'],
    ['task_type', null],
    ['bias', 'all'],
    ['bias', 'lora_only'],
    ['lora_bias', true],
    ['use_dora', true],
    ['use_dora', 1],
    ['modules_to_save', ['score']],
    ['fan_in_fan_out', true],
    ['layer_replication', [[0, 4]]],
    ['trainable_token_indices', [1]],
    ['target_parameters', ['q_proj.weight']],
    ['alora_invocation_tokens', [1, 2]],
    ['init_lora_weights', 'pissa'],
    ['init_lora_weights', 'olora'],
    ['init_lora_weights', 'eva'],
    ['loftq_config', { loftq_bits: 4 }],
    ['eva_config', { rho: 2 }],
    ['use_qalora', true],
    ['constructor', 1],
    ['__proto__x', { use_dora: true }],
    ['r', 2.5],
    ['r', '2'],
    ['r', 0],
    ['lora_alpha', 0],
    ['lora_alpha', -1],
    ['lora_alpha', 1e9],
    ['lora_alpha', null],
    ['use_rslora', 'yes'],
    ['rank_pattern', [1]],
    ['rank_pattern', { q_proj: 1.5 }],
    ['alpha_pattern', { q_proj: '4' }],
    ['target_modules', [1]],
  ])('%s = %j', (field, value) => {
    expect(() => read({ [field]: value })).toThrow(refusal(field))
  })

  test('a missing rank or alpha, since a guess could be silently wrong', () => {
    expect(() => read({ lora_alpha: undefined })).toThrow(refusal('lora_alpha'))
    expect(() => read({ r: undefined })).toThrow(refusal('r'))
  })

  test('a rank above the limit', () => {
    expect(() => read({ r: 513 })).toThrow(refusal('r', 'rank-limit'))
  })

  test.each(['[]', '{"r":2,', 'null', '', '{"r":1,"r":2}'])('the document %s', (text) => {
    expect(() => readPeftConfig(new TextEncoder().encode(text))).toThrow(refusal(''))
  })

  test('a file that is too large, before it is read as JSON', () => {
    expect(() => readPeftConfig(new Uint8Array(2 * 1024 * 1024))).toThrow(refusal(''))
  })
})

test('as many full-name patterns as a large model has modules are matched quickly enough', () => {
  const modules = Array.from(
    { length: 560 },
    (_, index) => `model.layers.${Math.floor(index / 7)}.block.m${index % 7}_proj`,
  )
  const config = read({ rank_pattern: Object.fromEntries(modules.map((name, index) => [name, 1 + (index % 16)])) })
  expect(modules.map((name) => config.scalingOf(name).rank)).toEqual(modules.map((_, index) => 1 + (index % 16)))
})
