import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { compileModulePattern } from './module-pattern.ts'

const budget = () => ({ left: 1_000_000 })
const matches = (key: string, name: string): boolean => compileModulePattern(key).matchesEndOf(name, budget())
const q0 = 'model.layers.0.self_attn.q_proj'

describe('a key matches the end of a module name', () => {
  test.each([
    ['q_proj', q0, true],
    ['proj', q0, false],
    ['self_attn.q_proj', q0, true],
    ['self_attn.q', q0, false],
    [q0, q0, true],
    ['layers.1.self_attn.q_proj', q0, false],
    ['layers.1.self_attn.q_proj', 'model.layers.11.self_attn.q_proj', false],
    ['layers\\.[01]\\.self_attn\\.q_proj', q0, true],
    ['layers\\.[34]\\.mlp\\.(gate|up)_proj', 'model.layers.4.mlp.up_proj', true],
    ['layers\\.[34]\\.mlp\\.(gate|up)_proj', 'model.layers.4.mlp.down_proj', false],
    ['[qk]_proj', q0, true],
    ['[^qk]_proj', q0, false],
    ['q_proj|v_proj', q0, true],
    ['^q_proj', q0, false],
    ['^model.layers.0.*', q0, true],
    ['q_proj$', q0, true],
    ['layers\\.\\d+\\.self_attn\\.\\w+', q0, true],
    ['layers\\.\\d{2}\\..*', q0, false],
    ['layers\\.\\d{2}\\..*', 'model.layers.11.mlp.up_proj', true],
    ['.*', q0, true],
    ['', 'model.', true],
    ['', q0, false],
  ])('%s on %s: %s', (key, name, expected) => {
    expect(matches(key, name)).toBe(expected)
  })
})

test('it agrees with a backtracking engine on random patterns and names', () => {
  const { pattern } = fc.letrec<{ pattern: string; atom: string }>((tie) => ({
    atom: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('a', 'b', '.', '\\.', '[ab]', '[^a]', '[a-b.]', '\\w', '^', '$') },
      { weight: 2, arbitrary: tie('pattern').map((inner) => `(${inner})`) },
      { weight: 1, arbitrary: tie('pattern').map((inner) => `(?:${inner})`) },
    ),
    pattern: fc
      .array(fc.tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '*?', '{2}', '{1,2}', '{0,}', '|')), {
        maxLength: 5,
      })
      .map((parts) =>
        parts.map(([atom, suffix]) => (/^[$^]$/.test(atom) && suffix !== '|' ? atom : atom + suffix)).join(''),
      ),
  }))
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 })
  fc.assert(
    fc.property(pattern, name, (key, text) => {
      expect(matches(key, text)).toBe(new RegExp(`^(?:.*\\.)?(?:${key})$`, 's').test(text))
    }),
    { numRuns: 3000 },
  )
})

describe('refused by name', () => {
  test.each([
    '(?=a)b',
    '(?i)a',
    '\\bq_proj',
    '(a',
    'a)',
    '[a',
    'a**',
    'a++',
    '*a',
    'a{200}',
    'a{b}',
    '\\1',
    '[[:alpha:]]',
    '[b-a]',
  ])('%s', (key) => {
    expect(() => compileModulePattern(key)).toThrow(expect.objectContaining({ code: 'peft-unsupported' }))
  })

  test.each(['a'.repeat(600), '((((a{90}){90}){90}){90}){90}', '((((){100}){100}){100}){100}'])('%s', (key) => {
    expect(() => compileModulePattern(key)).toThrow(expect.objectContaining({ code: 'peft-unsupported' }))
  })
})

test('a pattern that makes backtracking engines hang is answered within its linear bound', () => {
  const steps = budget()
  const name = `${'a'.repeat(200)}!`
  expect(compileModulePattern('(a+)+$|((x|x)*)*y').matchesEndOf(name, steps)).toBe(false)
  expect(1_000_000 - steps.left).toBeLessThan(201 * 40)
})

test('matching stops when the budget is used up', () => {
  const pattern = compileModulePattern('(a|b)*c')
  const attempt = () => pattern.matchesEndOf('ab'.repeat(50), { left: 50 })
  expect(attempt).toThrow(expect.objectContaining({ code: 'peft-unsupported' }))
})

test('any text is either compiled or refused with a named error', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab.\\[]{}()*+?|^$-,12?:dw'), maxLength: 40 }), (key) => {
      try {
        expect(matches(key, 'a.b')).toBeTypeOf('boolean')
      } catch (error) {
        if (!isMeshError(error, 'peft-unsupported')) throw error
      }
    }),
    { numRuns: 3000 },
  )
})
