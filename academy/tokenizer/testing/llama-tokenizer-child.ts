// Child process of `llama-tokenizer.ts`: one real llama.cpp that loads one base after the other.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import type { TokenizeJob, TokenizeReply } from './llama-tokenizer.ts'

process.once('message', (jobs: readonly TokenizeJob[]) => {
  void answer(jobs).then((reply) => process.send!(reply, () => process.exit(0)))
})

async function answer(jobs: readonly TokenizeJob[]): Promise<TokenizeReply> {
  const log: string[] = []
  try {
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      logLevel: LlamaLogLevel.warn,
      logger: (_level, message) => void log.push(message),
    })
    const ids: Uint32Array[][] = []
    for (const { base, texts } of jobs) {
      const model = await llama.loadModel({ modelPath: base })
      ids.push(texts.map((text) => Uint32Array.from(model.tokenize(text, false))))
      await model.dispose()
    }
    return { kind: 'done', ids }
  } catch (error) {
    return { kind: 'failed', reason: String(error), log }
  }
}
