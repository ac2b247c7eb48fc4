import { readFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compileKernels, kernelVariants } from './build-kernels.ts'
import { isTestFile } from './check-layers.ts'
import { scanSource } from './source-text.ts'
import { readSources, root } from './source-tree.ts'

test.each(Object.entries(kernelVariants))(
  'the committed %s.wasm is what its source compiles to',
  async (name, relaxed) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-kernels-'))
    const out = join(folder.path, `${name}.wasm`)
    await compileKernels(relaxed, out)
    expect(readFileSync(out).equals(readFileSync(join(root, 'academy/kernels', `${name}.wasm`)))).toBe(true)
  },
)

/** Functions whose last bits differ from engine to engine; what is exact in IEEE 754 (sqrt, fround, floor ...) may be used. */
const inexact =
  /\bMath\s*(?:\.|\?\.|\[\s*['"`])\s*(?:a?(?:cos|sin|tan)h?|atan2|cbrt|exp|expm1|log|log10|log1p|log2|pow|hypot)\b|\*\*|\bMath\s*\[/

function inexactLines(sources: ReadonlyMap<string, string>): string[] {
  return [...sources].flatMap(([path, source]) =>
    scanSource(source)
      .codeOnly.split('\n')
      .flatMap((line, index) => (inexact.test(line) ? [`${path}:${index + 1} ${line.trim()}`] : [])),
  )
}

test('the trainer computes nothing with functions whose last bits differ between engines', () => {
  const trainer = [...readSources()].filter(([path]) => path.startsWith('academy/') && !isTestFile(path))
  expect(trainer.length).toBeGreaterThan(20)
  expect(inexactLines(new Map(trainer))).toEqual([])
})

test('that rule finds what it is for', () => {
  const bad = [
    'Math.exp(1)',
    'Math.log2(x)',
    "Math['sin'](x)",
    'x ** y',
    'Math[name](x)',
    'Math .tanh(x)',
    'Math.pow(2, 3)',
  ]
  const good = ['Math.sqrt(x)', 'Math.fround(x)', 'kernels.exp(x)', '// Math.exp', 'Math.floor(x)', 'Math.expression']
  expect(inexactLines(new Map(bad.map((line, i) => [`${i}`, line])))).toHaveLength(bad.length)
  expect(inexactLines(new Map(good.map((line, i) => [`${i}`, line])))).toEqual([])
})
