// Whether llama.cpp computes with converted and baked adapters what PEFT computed: every adapter of the kit on its base and on a copy with
// q, k and v fused, both corpora, scales 1 and 0.5, and all mixes, stacked against baked. Run with `node bench/adapter-agreement.ts`; exits 1
// if a bound is missed.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bakeAdapters, convertPeft, inspectBase } from '../model-files/index.ts'
import { fuseQkv } from '../testing/fuse-qkv.ts'
import { adaptersOfBases } from '../testing/kit-adapters.ts'
import { kit } from '../testing/kit.ts'
import { heldoutPassages, largestLogDifference, runLlama } from '../testing/llama-runs.ts'

const corpora = ['shakespeare', 'recipes'] as const
type Corpus = (typeof corpora)[number]

interface Expected {
  readonly nll: Record<Corpus, { readonly 'base+adapter': number; readonly 'base+adapter at scale 0.5': number }>
}

interface Mix {
  readonly weights: Record<string, number>
  readonly nll: Record<Corpus, number>
}

if (!kit.present) {
  console.error('This measurement needs the test-data kit at ../shared/kit.')
  process.exit(1)
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}`)
console.log('llama.cpp through node-llama-cpp, F32 KV cache, flash attention off, 12 held-out passages per corpus\n')

await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-bench-'))
const pathOf = (name: string): string => join(folder.path, `${name}.gguf`)
const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(kit.path(...path), 'utf8')) as T

let missed = 0
function report(label: string, value: number, bound: number, text: string): void {
  if (!(value < bound)) missed++
  console.log(`${label.padEnd(58)} ${text} ${value < bound ? '' : `MISSED (${bound})`}`)
}

for (const [baseName, adapters] of Object.entries(adaptersOfBases)) {
  const plain = kit.path('models', `${baseName}.gguf`)
  await measure(plain, adapters, '')
  // Phi-3 has its q, k and v fused as it is.
  if (baseName === 'tiny-phi3') continue
  const fused = pathOf(`${baseName}-fused`)
  writeFileSync(fused, fuseQkv(readFileSync(plain)))
  await measure(fused, adapters, ', q k v fused')
}

async function measure(basePath: string, adapters: readonly string[], note: string): Promise<void> {
  const base = await inspectBase(basePath)
  for (const adapter of adapters) {
    const out = pathOf(`${adapter}${note === '' ? '' : '-fused'}`)
    await convertPeft({ dir: kit.path('adapters', adapter), base, out })
    const { nll } = readJson<Expected>('adapters', adapter, 'expected.json')
    const rows = corpora.flatMap((corpus) => [
      { corpus, scale: 1, expected: nll[corpus]['base+adapter'] },
      { corpus, scale: 0.5, expected: nll[corpus]['base+adapter at scale 0.5'] },
    ])
    const runs = rows.map(({ corpus, scale }) => ({
      adapters: [{ path: out, scale }],
      passages: heldoutPassages(corpus),
    }))
    const results = await runLlama({ base: basePath, runs })
    for (const [index, { corpus, scale, expected }] of rows.entries()) {
      const { meanNll } = results[index]!
      const difference = Math.abs(meanNll / expected - 1)
      const text = `PEFT ${expected}  llama.cpp ${meanNll.toFixed(6)}  relative ${difference.toExponential(1)}`
      report(`${adapter}, ${corpus}, scale ${scale}${note}`, difference, 1e-2, text)
    }
  }
}

console.log()
const storiesPath = kit.path('models/stories260K.gguf')
const stories = await inspectBase(storiesPath)
const passages = heldoutPassages('recipes')
for (const { weights, nll } of readJson<{ mixes: Mix[] }>('golden/adapter-mixes.json').mixes) {
  const label = Object.entries(weights)
    .map(([adapter, scale]) => `${adapter.slice(5)}:${scale}`)
    .join(' ')
  const adapters = Object.entries(weights).map(([adapter, scale]) => ({ path: pathOf(adapter), scale }))
  const runs = [{ adapters, passages, keepDistributions: true }]
  const dtypes = ['f32', 'f16', 'q8_0'] as const
  for (const dtype of dtypes) {
    const { out } = await bakeAdapters({
      base: stories,
      adapters,
      dtype,
      out: pathOf(`${label.replaceAll(/[: ]/g, '_')}-${dtype}`),
    })
    runs.push({ adapters: [{ path: out, scale: 1 }], passages, keepDistributions: true })
  }
  const [stacked, ...baked] = await runLlama({ base: storiesPath, runs })
  for (const [index, dtype] of dtypes.entries()) {
    const result = baked[index]!
    const difference = largestLogDifference(stacked!, result)
    const relative = Math.abs(result.meanNll / nll.recipes - 1)
    const text = `log-probability ${difference.toExponential(1)}  NLL ${result.meanNll.toFixed(6)} (PEFT ${nll.recipes}, relative ${relative.toExponential(1)})`
    report(`${label}, baked ${dtype}`, dtype === 'f32' ? difference : relative, dtype === 'f32' ? 1e-3 : 1e-2, text)
  }
}
process.exitCode = missed === 0 ? 0 : 1
