// How fast the trainer is, in tokens per second: everything and LoRA, both arithmetics, one worker and two. The shape has 984,192 parameters:
// width 128, 4 blocks, vocabulary 512, context 128, 8 examples a step; every token is predicted. Run with
// `node bench/train.ts`. Settings take turns and the median of the rounds is shown, so that a busy moment hits all alike.
import { execFileSync } from 'node:child_process'
import { cpus, tmpdir } from 'node:os'
import { mkdtempDisposable } from 'node:fs/promises'
import { join } from 'node:path'
import {
  fastestArithmetic,
  matrixKinds,
  parameterCount,
  readBase,
  trainAdapter,
  trainBase,
  trainBpe,
  vocabularyMetadata,
} from '../academy/index.ts'
import type { Arithmetic, Example, ModelShape } from '../academy/index.ts'

const rounds = 3
const steps = 60
const context = 128
const examplesPerStep = 8
/** Bars of the trainer, tokens/s with two workers and the fastest arithmetic. */
const bars = { everything: 10_000, lora: 12_000 }

const shape: ModelShape = {
  layers: 4,
  width: 128,
  heads: 4,
  kvHeads: 4,
  headSize: 32,
  feedForward: 384,
  vocabulary: 512,
  contextLength: context,
  turned: 32,
  ropeBase: 10_000,
  epsilon: 1e-5,
  tied: false,
}

const common = {
  steps,
  batchTokens: context * examplesPerStep,
  learningRate: 1e-3,
  warmUpShare: 0.1,
  clip: 1,
  weightDecay: 0,
  replayShare: 0,
  rngSeed: 1,
}

type Kind = keyof typeof bars

interface Setting {
  readonly kind: Kind
  readonly arithmetic: Arithmetic
  readonly workers: number
}

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
console.log(`machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, commit ${commit}`)
console.log(
  `${parameterCount(shape)} parameters, context ${context}, ${examplesPerStep} examples a step, LoRA rank 8 on all seven matrices`,
)
console.log(`median of ${rounds} rounds of ${steps} steps each, tokens/s (lowest and highest)\n`)

await using folder = await mkdtempDisposable(join(tmpdir(), 'lora-mesh-bench-'))
const data = { train: countingExamples(64), replay: [], heldOut: [] }
const tokenizer = vocabularyMetadata(trainBpe([], { vocabulary: 512 }))
const basePath = join(folder.path, 'base.gguf')
const settings: readonly Setting[] = (['everything', 'lora'] as const).flatMap((kind) =>
  [...new Set<Arithmetic>(['plain', fastestArithmetic()])].flatMap((arithmetic) =>
    [1, 2].map((workers) => ({ kind, arithmetic, workers })),
  ),
)
const measured = new Map(settings.map((setting) => [setting, [] as number[]]))
await measure(settings[0]!) // makes the base, and warms the machine up
for (let round = 0; round < rounds; round++) {
  for (const setting of settings) measured.get(setting)!.push(await measure(setting))
}
let missed = 0
for (const [{ kind, arithmetic, workers }, speeds] of measured) {
  const sorted = speeds.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)]!
  const counts = workers === 2 && arithmetic === fastestArithmetic()
  const verdict = !counts ? '' : median >= bars[kind] ? `  (bar ${bars[kind]})` : `  MISSED (${bars[kind]})`
  if (counts && median < bars[kind]) missed++
  const name = `${kind}, ${arithmetic}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`
  console.log(
    `${name.padEnd(32)} ${String(Math.round(median)).padStart(6)}  (${Math.round(sorted[0]!)} to ${Math.round(sorted.at(-1)!)})${verdict}`,
  )
}
process.exitCode = missed === 0 ? 0 : 1

async function measure({ kind, arithmetic, workers }: Setting): Promise<number> {
  const control = { clock: () => performance.now() }
  if (kind === 'everything') {
    const training = { name: 'bench', shape, tokenizer, data, recipe: common, arithmetic, workers, out: basePath }
    return (await trainBase(training, control)).tokensPerSecond
  }
  using base = await readBase(basePath)
  const recipe = { ...common, rank: 8, alpha: 16, targets: matrixKinds }
  const out = join(folder.path, 'adapter.gguf')
  return (await trainAdapter({ base, data, recipe, arithmetic, workers, out }, control)).tokensPerSecond
}

function countingExamples(count: number): Example[] {
  return Array.from({ length: count }, (_, index) => ({
    tokens: Int32Array.from({ length: context + 1 }, (_, at) => 2 + ((at * (index + 3)) % 509)),
    predictFrom: 1,
  }))
}
