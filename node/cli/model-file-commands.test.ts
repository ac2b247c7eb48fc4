// inspect, import, bake, nll, eval and plan --catalogue as scripts call them: exact JSON, exit codes, no data folder.
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { kit } from '../../testing/kit.ts'
import { runCommand } from '../../testing/local-mesh.ts'
import type { CommandResult } from '../../testing/local-mesh.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'

test('plan --catalogue plans without a node, a base or a data folder', async () => {
  await using folder = await temporaryFolder()
  const cards = [
    { id: 'cooking', text: 'writes cooking recipes', version: '1.0.0' },
    { id: 'law', text: 'answers questions about contracts and law' },
  ]
  const file = join(folder.path, 'cards.json')
  await writeFile(file, JSON.stringify({ cards }))
  const data = join(folder.path, 'data')
  const { code, json } = await runCommand([
    'plan',
    'cooking recipes and quantum gravity',
    '--catalogue',
    file,
    '--json',
    '--data',
    data,
  ])
  expect(code).toBe(0)
  expect(Object.keys(json ?? {})).toEqual(
    expect.arrayContaining(['facets', 'matches', 'fetch', 'gaps', 'mode', 'strategy', 'bytes']),
  )
  expect(json).toMatchObject({
    facets: expect.arrayContaining([expect.stringContaining('quantum gravity')]),
    matches: [
      { facet: expect.any(String), capability: 'cooking', release: 'cooking@1.0.0', score: expect.any(Number) },
    ],
    gaps: [{ facet: expect.stringContaining('quantum gravity') }],
  })
  expect(existsSync(data)).toBe(false)
})

test('missing options are usage errors, missing files are not found, broken files are refused', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'broken')
  await writeFile(file, '{')
  const outcomes = await Promise.all([
    runCommand(['import', folder.path, '--json']),
    runCommand(['bake', '--base', file, '-o', 'x', 'a:99', '--json']),
    runCommand(['bake', '--base', file, '-o', 'x', 'a', '--dtype', 'f8', '--json']),
    runCommand(['nll', '--base', file, '--json']),
    runCommand(['eval', '--base', file, '--json']),
    runCommand(['inspect', join(folder.path, 'absent'), '--json']),
    runCommand(['plan', 'x', '--catalogue', file, '--json']),
    runCommand(['nll', '--base', file, '--text', file, '--json']),
    runCommand(['inspect', file, '--json']),
  ])
  expect(outcomes.map(({ code }) => code)).toEqual([64, 64, 64, 64, 64, 1, 2, 2, 2])
  expect(outcomes.map(codeOf)).toEqual([
    'usage',
    'usage',
    'usage',
    'usage',
    'usage',
    'not-found',
    'bad-input',
    'gguf-malformed',
    undefined,
  ])
})

describe.skipIf(!kit.present)('on real model files (needs the kit)', () => {
  const base = kit.path('models/stories260K.gguf')

  test('inspect tells what a base is, and refuses a crafted adapter with its reason', async () => {
    const good = await runCommand(['inspect', base, '--json'])
    expect(good).toMatchObject({
      code: 0,
      json: {
        kind: 'base',
        architecture: 'llama',
        baseId: expect.stringMatching(/^[0-9a-f]{64}$/),
        tensors: 48,
        bytes: 1_185_472,
        ok: true,
        problems: [],
      },
    })
    const bad = await runCommand(['inspect', kit.path('hostile/gguf/alpha_nan.gguf'), '--base', base, '--json'])
    expect(bad).toMatchObject({
      code: 2,
      json: { kind: 'adapter', ok: false, problems: [{ code: expect.any(String), message: expect.any(String) }] },
    })
  })

  test('import, nll and bake agree with the reference values', async () => {
    await using folder = await temporaryFolder()
    const out = join(folder.path, 'recipes.gguf')
    const imported = await runCommand([
      'import',
      kit.path('adapters/peft-recipes'),
      '--base',
      base,
      '-o',
      out,
      '--json',
    ])
    expect(imported).toMatchObject({
      code: 0,
      json: {
        out,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        rank: 8,
        targets: expect.arrayContaining(['attn_q', 'ffn_down']),
      },
    })
    const baked = join(folder.path, 'baked.gguf')
    const bake = await runCommand(['bake', '--base', base, '-o', baked, `${out}:0.7`, `${out}:0.3`, '--json'])
    expect(bake).toMatchObject({ code: 0, json: { out: baked, rank: 8, bytes: expect.any(Number) } })
    const passages = kit.path('adapters/heldout/recipes.json')
    const expected = JSON.parse(await readFile(kit.path('adapters/peft-recipes/expected.json'), 'utf8')) as Expected
    for (const adapter of [baked, `${out}:0.5`]) {
      const { code, json } = await runCommand([
        'nll',
        '--base',
        base,
        '--adapter',
        adapter,
        '--passages',
        passages,
        '--json',
      ])
      const wanted =
        expected.nll.recipes[adapter.endsWith(':0.5') ? 'base+adapter at scale 0.5' : 'base+adapter'] ?? Number.NaN
      expect(code).toBe(0)
      expect(Object.keys(json ?? {})).toEqual(['tokens', 'meanNll'])
      expect(json?.['meanNll']).toBeCloseTo(wanted, 2)
    }
  })

  test('eval counts exact answers', async () => {
    await using folder = await temporaryFolder()
    const suite = join(folder.path, 'suite.jsonl')
    await writeFile(
      suite,
      '{"prompt": "Once upon a", "answer": "time"}\n{"prompt": "Once upon a", "answer": "spoon"}\n',
    )
    const evaluated = await runCommand(['eval', '--base', base, '--suite', suite, '--json'])
    expect(evaluated).toMatchObject({ code: 0, json: { n: 2, exactMatch: 0.5, meanNll: expect.any(Number) } })
  })

  test('what PEFT can express and a LoRA file cannot is refused with its name, and nothing is written', async () => {
    await using folder = await temporaryFolder()
    const out = join(folder.path, 'x.gguf')
    const { code, json } = await runCommand([
      'import',
      kit.path('adapters/peft-dora'),
      '--base',
      base,
      '-o',
      out,
      '--json',
    ])
    expect({ code, json }).toMatchObject({
      code: 2,
      json: { error: { code: 'peft-unsupported', message: expect.stringContaining('use_dora') } },
    })
    expect(existsSync(out)).toBe(false)
  })
})

interface Expected {
  readonly nll: { readonly recipes: Readonly<Record<string, number>> }
}

function codeOf({ json }: CommandResult): unknown {
  const error = json?.['error']
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
