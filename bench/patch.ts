// What an upgrade costs where the version before is held: adapters of the small world, trained on by updates of three sizes, in each
// dtype; exact patches, and versions defined by differences of 2 to 8 bits with what is lost by them (all of them for BF16). Run with `node bench/patch.ts`;
// exits 1 if a bar is missed. Held-out NLL is the trainer's, suites are asked through llama.cpp.
import { execFileSync } from 'node:child_process'
import { copyFile, mkdtempDisposable, readFile, stat } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createByteLevelBpe, examplesOf, parseTrainingData, readBase, vocabularyOf } from '../academy/index.ts'
import type { ReadingBase, TrainingData } from '../academy/index.ts'
import { createEngine, evaluateSuite, parseSuite } from '../assembler/index.ts'
import { baseFile, worldFolder } from '../fixtures/world-files.ts'
import { applyPatch, chooseDeltaBits, defineByDelta, makePatch, sha256File } from '../model-files/index.ts'
import type { FileFacts, TensorDtype } from '../model-files/index.ts'
import { bytesEqual, toHex } from '../protocol/index.ts'
import { continueAdapter, readNumbers, relativeChange, storeAdapter } from './continue-adapter.ts'

/** Knows three quarters of what there is to know; the updates teach it all of it. */
const start = 'biology-1.7.0.gguf'
const updates = [
  { name: 'small', steps: 6, learningRate: 2e-4 },
  { name: 'medium', steps: 20, learningRate: 6e-4 },
  { name: 'large', steps: 100, learningRate: 3e-3 },
] as const
const dtypes = ['BF16', 'F16', 'F32'] as const satisfies readonly TensorDtype[]
/** Of the file, for BF16. */
const bars = { exactSmall: 0.35, bitsSmall: 0.15, bitsLarge: 0.3 }
/**
 * Nothing is lost where no question fewer is answered and the NLL is higher by at most this part: the tolerance by which converted adapters
 * are judged. Beside it stand the standard errors of the paired differences, a stricter measure: all questions feel the same rounding, so
 * that the pairs are not independent and losses of 0.001 nats can count.
 */
const toleratedPart = 0.01

let missed = 0
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}\n`)

await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-bench-'))
const at = (name: string): string => join(folder.path, name)
using base = await readBase(join(worldFolder, baseFile))
const data = await readData()
await using engine = createEngine()
const basePath = join(worldFolder, baseFile)
const engineBase = await engine.load({ path: basePath, sha256: toHex(await sha256File(basePath)) })
const suite = parseSuite(await readFile(join(worldFolder, 'biology.suite.jsonl'), 'utf8'))

for (const dtype of dtypes) {
  const older = at(`older-${dtype}.gguf`)
  await storeAdapter(readNumbers(join(worldFolder, start)), join(worldFolder, start), dtype, older)
  for (const update of updates) await measureUpdate(dtype, older, update)
}
console.log('versions as they were published, each trained from the beginning (F16)')
for (const [from, to] of [['1.6.0', '1.7.0'] as const, ['1.7.0', '1.8.0'] as const]) {
  const [oldPath, newPath] = [from, to].map((version) => join(worldFolder, `biology-${version}.gguf`)) as [
    string,
    string,
  ]
  const change = relativeChange(readNumbers(oldPath), readNumbers(newPath))
  const bytes = await exactPatch(oldPath, newPath)
  console.log(
    `  ${from} -> ${to}: relative change ${percent(change)}, exact patch ${percent(bytes / (await sizeOf(newPath)))}`,
  )
}
process.exitCode = missed === 0 ? 0 : 1

async function measureUpdate(dtype: TensorDtype, older: string, update: (typeof updates)[number]): Promise<void> {
  const newer = at(`${update.name}-${dtype}.gguf`)
  const { numbers } = await continueAdapter({ base, data, from: older, ...update })
  await storeAdapter(numbers, older, dtype, newer)
  const whole = await sizeOf(newer)
  const exact = (await exactPatch(older, newer)) / whole
  const [before, after] = [await judge(older), await judge(newer)]
  const change = relativeChange(readNumbers(older), numbers)
  console.log(`${dtype}, ${update.name} update: relative change ${percent(change)}, file ${whole} bytes`)
  console.log(`  older     ${textOf(before)}`)
  console.log(`  newer     ${textOf(after)}`)
  const isBf16 = dtype === 'BF16'
  console.log(
    `  exact     ${percent(exact)} of the file${bar(exact, isBf16 && update.name === 'small', bars.exactSmall)}`,
  )
  if (isBf16) await measureBits(older, newer, whole, after)
  const evaluate = async (path: string): Promise<number> => scoreOf(await judge(path), after)
  const choice = { oldPath: older, newPath: newer, folder: folder.path, evaluate, tolerance: toleratedPart }
  const { chosen } = await chooseDeltaBits(choice)
  const share = chosen === undefined ? Infinity : chosen.patch.bytes / whole
  const limit = update.name === 'small' ? bars.bitsSmall : bars.bitsLarge
  const verdict = bar(share, isBf16 && update.name !== 'medium', limit)
  console.log(`  chosen    ${chosen?.bits ?? 'no number of'} bits, ${percent(share)}${verdict}\n`)
}

/** All of 2 to 8, also those past the one that is chosen. */
async function measureBits(older: string, newer: string, whole: number, after: Judged): Promise<void> {
  for (const bits of [2, 3, 4, 5, 6, 7, 8]) {
    const job = { oldPath: older, newPath: newer, bits, out: at('defined.gguf'), patchOut: at('defined.patch') }
    const { file, patch } = await defineByDelta(job)
    await requireRebuilt(older, patch.path, file)
    const found = await judge(file.path)
    const errors = errorsWorse(found, after).toFixed(1)
    console.log(
      `  ${bits} bits    ${textOf(found)}  worse by ${errors} errors  ${percent(patch.bytes / whole)} of the file`,
    )
  }
}

async function exactPatch(oldPath: string, newPath: string): Promise<number> {
  const { bytes, to } = await makePatch({ oldPath, newPath, out: at('exact.patch') })
  await requireRebuilt(oldPath, at('exact.patch'), to)
  return bytes
}

async function requireRebuilt(oldPath: string, patchPath: string, expected: FileFacts): Promise<void> {
  await applyPatch({ oldPath, patchPath, expected, out: at('rebuilt.gguf') })
  if (!bytesEqual(await sha256File(at('rebuilt.gguf')), expected.sha256)) throw new Error('not the same bytes')
}

interface Judged {
  /** Of each held-out question. */
  readonly nlls: readonly number[]
  readonly right: number
}

/** NLL by the trainer, answers by llama.cpp, which keeps adapters by path: each content is asked under a name of its own. */
async function judge(path: string): Promise<Judged> {
  const { heldOutNlls: nlls } = await continueAdapter({ base, data, from: path, steps: 0, learningRate: 0 })
  const sha256 = toHex(await sha256File(path))
  const named = at(`${sha256}.gguf`)
  if (named !== path) await copyFile(path, named)
  const { exactMatch } = await evaluateSuite(engine, engineBase, [{ path: named, sha256, scale: 1 }], suite)
  return { nlls, right: exactMatch }
}

/** Minus the part by which its NLL is higher. A version that answers fewer questions is no candidate. */
function scoreOf(found: Judged, newer: Judged): number {
  return found.right < newer.right ? -Infinity : Math.min(0, 1 - mean(found.nlls) / mean(newer.nlls))
}

/** Mean of the differences question by question, in standard errors of that mean. */
function errorsWorse(found: Judged, newer: Judged): number {
  const differences = found.nlls.map((nll, i) => nll - newer.nlls[i]!)
  const middle = mean(differences)
  const variance = mean(differences.map((difference) => (difference - middle) ** 2))
  return middle === 0 ? 0 : middle / Math.sqrt(variance / (differences.length - 1))
}

function textOf({ nlls, right }: Judged): string {
  return `NLL ${mean(nlls).toFixed(4)}  right ${percent(right)}`
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

async function readData(): Promise<TrainingData> {
  const tokenizer = createByteLevelBpe(vocabularyOf(base.metadata)!)
  const reading: ReadingBase = { tokenizer, bos: base.bos, eos: base.eos, contextLength: base.shape.contextLength }
  const read = async (file: string) =>
    examplesOf(parseTrainingData(await readFile(join(worldFolder, file), 'utf8'), 'jsonl', file), reading, file)
  return {
    train: await read('biology.jsonl'),
    replay: await read('base.jsonl'),
    heldOut: await read('biology.suite.jsonl'),
  }
}

function bar(share: number, counts: boolean, limit: number): string {
  if (!counts) return ''
  if (share <= limit) return `  (bar ${percent(limit)})`
  missed++
  return `  MISSED (${percent(limit)})`
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
