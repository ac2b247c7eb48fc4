// Child process of `llama-runs.ts`: one real llama.cpp, one base, several runs with different adapters. Crafted model files can abort the
// process that loads them, so it is never the test's own.
import { getLlama, LlamaLogLevel, type Token } from 'node-llama-cpp'
import type { LlamaJob, LlamaReply, LlamaRun } from './llama-runs.ts'

process.once('message', (job: LlamaJob) => {
  void answer(job).then((reply) => process.send!(reply, () => process.exit(0)))
})

async function answer(job: LlamaJob): Promise<LlamaReply> {
  const log: string[] = []
  try {
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      logLevel: LlamaLogLevel.warn,
      logger: (_level, message) => void log.push(message),
    })
    const model = await llama.loadModel({ modelPath: job.base })
    const contextSize = Math.max(...job.runs.flatMap((run) => run.passages.map((passage) => passage.length)))
    const results: LlamaReply & { kind: 'done' } = { kind: 'done', results: [] }
    for (const run of job.runs) {
      const context = await model.createContext({
        contextSize,
        threads: 1,
        // llama.cpp's flash attention on the CPU rounds to F16 inside: two equal computations then differ by up to 3e-2 in a log-probability.
        flashAttention: false,
        lora: {
          adapters: run.adapters.map(({ path, scale }) => ({ filePath: path, scale })),
          onLoadProgress: () => {},
        },
        experimentalKvCacheKeyType: 'F32',
        experimentalKvCacheValueType: 'F32',
      })
      const sequence = context.getSequence()
      const logProbabilities: Float64Array[] = []
      for (const passage of run.passages) {
        await sequence.clearHistory()
        logProbabilities.push(await distributions(sequence, passage))
      }
      results.results.push(summary(run, logProbabilities))
      await context.dispose()
    }
    return results
  } catch (error) {
    return { kind: 'failed', reason: String(error), log }
  }
}

/** Natural logarithms of the next-token probabilities after each token but the last: (tokens - 1) x vocabulary, row-major. */
async function distributions(
  sequence: Awaited<ReturnType<typeof contextOf>>,
  passage: readonly number[],
): Promise<Float64Array> {
  // Temperature 0, the default, gives the plain softmax here.
  const input = passage
    .slice(0, -1)
    .map(
      (token) =>
        [token as Token, { generateNext: { probabilities: true } }] as [
          Token,
          { generateNext: { probabilities: true } },
        ],
    )
  const output = await sequence.controlledEvaluate(input)
  const vocabulary = output[0]?.next.probabilities?.size ?? 0
  const table = new Float64Array(input.length * vocabulary)
  for (const [row, item] of output.entries()) {
    for (const [token, probability] of item?.next.probabilities ?? [])
      table[row * vocabulary + token] = Math.log(probability)
  }
  return table
}

declare function contextOf(): Promise<
  ReturnType<
    Awaited<
      ReturnType<Awaited<ReturnType<Awaited<ReturnType<typeof getLlama>>['loadModel']>>['createContext']>
    >['getSequence']
  >
>

function summary(run: LlamaRun, tables: Float64Array[]): { meanNll: number; logProbabilities: Float64Array[] } {
  let sum = 0
  let count = 0
  for (const [index, passage] of run.passages.entries()) {
    const table = tables[index]!
    const vocabulary = table.length / (passage.length - 1)
    for (let at = 1; at < passage.length; at++) {
      sum -= table[(at - 1) * vocabulary + passage[at]!]!
      count++
    }
  }
  return { meanNll: sum / count, logProbabilities: run.keepDistributions ? tables : [] }
}
