// Whether a PEFT folder written from our file is the one that the file was made of: names, shapes, types and config keys of every adapter of
// the kit, and its updates; also by way of a base with fused q, k and v. Where PEFT is installed (python3, or PYTHON in the environment) it
// loads the folders too, and its updates are compared with the kit's. Run with `node bench/peft-export.ts`; exits 1 if anything differs.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { convertPeft, exportPeft, inspectBaseSource, memorySource, type BaseInfo } from '../model-files/index.ts'
import { fuseQkv } from '../testing/fuse-qkv.ts'
import { adaptersOfBases } from '../testing/kit-adapters.ts'
import { kit } from '../testing/kit.ts'
import { largestRelativeDifference, readPeftFolder } from '../testing/read-peft-folder.ts'

/** Of the largest number of an update: B is stored as F32 once a scale is multiplied into it. */
const updateBound = 2e-7
/** Of a fingerprint's norm: the kit's are of float32 matrices multiplied in float64. */
const fingerprintBound = 1e-6

interface Job {
  readonly label: string
  readonly adapter: string
  readonly dir: string
  readonly config: Record<string, unknown>
}

interface Fingerprint {
  readonly frobenius: number
  readonly weightedSum: number
}

interface Loaded {
  readonly sameTensors: boolean
  readonly modules: Readonly<Record<string, Fingerprint>>
}

interface Expected {
  readonly modules: Record<string, { readonly frobenius: number; readonly hf: { readonly weighted_sum: number } }>
}

if (!kit.present) {
  console.error('This measurement needs the test-data kit at ../shared/kit.')
  process.exit(1)
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}\n`)

const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(kit.path(...path), 'utf8')) as T
let missed = 0
function report(label: string, problems: readonly string[], text: string): void {
  missed += problems.length
  console.log(`${label.padEnd(36)} ${text} ${problems.map((problem) => `MISSED: ${problem}`).join(', ')}`)
}

await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-bench-'))
const jobs: Job[] = []
for (const [baseName, adapters] of Object.entries(adaptersOfBases)) {
  const plain = readFileSync(kit.path('models', `${baseName}.gguf`))
  // Phi-3 has its q, k and v fused as it is.
  const forms = baseName === 'tiny-phi3' ? { '': plain } : { '': plain, ', q k v fused': fuseQkv(plain) }
  for (const [note, bytes] of Object.entries(forms)) {
    const base = await inspectBaseSource(memorySource(bytes))
    for (const adapter of adapters) {
      const dir = join(folder.path, `${adapter}${note.replaceAll(/\W/g, '')}`)
      await writeBack(adapter, base, dir, baseName)
      compare(`${adapter}${note}`, adapter, dir)
      jobs.push({ label: `${adapter}${note}`, adapter, dir, config: baseConfig(baseName, base) })
    }
  }
}

async function writeBack(adapter: string, base: BaseInfo, dir: string, baseName: string): Promise<void> {
  const file = `${dir}.gguf`
  await convertPeft({ dir: kit.path('adapters', adapter), base, out: file })
  await exportPeft({ file, base, dir, baseName })
}

function compare(label: string, adapter: string, dir: string): void {
  const [original, back] = [readPeftFolder(kit.path('adapters', adapter)), readPeftFolder(dir)]
  const shapes = (tensors: typeof original.tensors): string => JSON.stringify([...tensors].toSorted())
  const keys = (config: typeof original.config): string => Object.keys(config).toSorted().join()
  const differences = [...original.updates].map(([module, update]) =>
    largestRelativeDifference(back.updates.get(module), update),
  )
  const difference = Math.max(...differences)
  const problems = [
    ...(shapes(original.tensors) === shapes(back.tensors) ? [] : ['names, shapes or types']),
    ...(keys(original.config) === keys(back.config) ? [] : ['config keys']),
    ...(difference <= updateBound && back.updates.size === original.updates.size ? [] : [`updates (${updateBound})`]),
  ]
  const text = `${back.tensors.size} tensors, ${Object.keys(back.config).length} config keys, largest difference of an update ${difference.toExponential(1)}`
  report(label, problems, text)
}

/** What transformers must know to make a model of the base's shape. */
function baseConfig(baseName: string, { hyperparameters, tensors }: BaseInfo): Record<string, unknown> {
  if (baseName !== 'stories260K') return readJson('models', `${baseName}.config.json`)
  return {
    model_type: 'llama',
    hidden_size: hyperparameters.get('embedding_length'),
    intermediate_size: hyperparameters.get('feed_forward_length'),
    num_hidden_layers: hyperparameters.get('block_count'),
    num_attention_heads: hyperparameters.get('attention.head_count'),
    num_key_value_heads: hyperparameters.get('attention.head_count_kv'),
    vocab_size: tensors.get('token_embd.weight')?.shape[1],
  }
}

const python = process.env['PYTHON'] ?? 'python3'
const script = fileURLToPath(new URL('peft-export.py', import.meta.url))
console.log()
if (spawnSync(python, ['-c', 'import peft, transformers, torch']).status !== 0) {
  console.log(`PEFT is not installed for ${python}, so it loaded nothing. With PYTHON=... another Python is taken.`)
} else {
  loadInPeft()
}
process.exitCode = missed === 0 ? 0 : 1

function loadInPeft(): void {
  const output = execFileSync(python, [script], { input: JSON.stringify(jobs), encoding: 'utf8', maxBuffer: 2 ** 28 })
  const [versions, ...results] = output.trim().split('\n')
  console.log(`loaded by ${versions}`)
  if (results.length !== jobs.length) throw new Error(`${jobs.length} folders were given, ${results.length} came back`)
  for (const [index, job] of jobs.entries()) judge(job, JSON.parse(results[index]!) as Loaded)
}

function judge({ label, adapter }: Job, { sameTensors, modules }: Loaded): void {
  const expected = Object.entries(readJson<Expected>('adapters', adapter, 'expected.json').modules)
  const differences = expected.map(([name, { frobenius, hf }]) => {
    const found = modules[name]
    if (found === undefined) return Infinity
    const norm = Math.abs(found.frobenius / frobenius - 1)
    // A sum of numbers of both signs may be nearly zero: what it may differ by goes by the norm and the weights of up to 35.
    return Math.max(norm, Math.abs(found.weightedSum - hf.weighted_sum) / (35 * frobenius))
  })
  const difference = Math.max(...differences)
  const problems = [
    ...(sameTensors ? [] : ['PEFT took other tensors than the folder has']),
    ...(difference <= fingerprintBound && Object.keys(modules).length === expected.length ? [] : ['fingerprints']),
  ]
  report(
    label,
    problems,
    `${expected.length} modules, largest difference of a fingerprint ${difference.toExponential(1)}`,
  )
}
