// One base model in memory and its warm contexts: one for scoring, one for the persona that is talking.
// A context belongs to one set of adapters; asking for another set throws the old one away, so no state made with other weights is
// ever reused. llama.cpp keeps adapters by path until the process ends; the node process watches how many bytes that is.
import { availableParallelism } from 'node:os'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp'
import { MeshError } from '../../protocol/index.ts'
import type { EngineBase, LoadRequest, ScaledFile } from '../engine-messages.ts'
import { chatTemplateOf } from './chat-template.ts'
import type { ChatTemplate } from './chat-template.ts'
import { createEngineLog, refusalOf } from './native-failure.ts'
import type { EngineLog } from './native-failure.ts'

/**
 * Scores are compared between machines and files, so they are computed in F32 throughout: two equal computations then differ by 5e-5 in a
 * log-probability. The F16 cache alone makes that 6e-4, llama.cpp's flash attention, which is F16 inside on a CPU, 3e-2.
 */
type Purpose = 'score' | 'chat'

interface Slot {
  readonly key: string
  readonly context: LlamaContext
  readonly sequence: LlamaContextSequence
}

export interface LoadedBase {
  readonly path: string
  readonly sha256: string
  readonly info: EngineBase
  readonly model: LlamaModel
  /** Absent: a conversation is continued as plain text. */
  readonly template: ChatTemplate | undefined
  /** A sequence made with exactly these adapters. It still holds the tokens of its last use: the caller clears or continues them. */
  sequenceFor(purpose: Purpose, adapters: readonly ScaledFile[], tokens?: number): Promise<LlamaContextSequence>
  /** Throws `bad-input`: llama.cpp reads beyond its tables for an id that the vocabulary doesn't have. */
  checkTokens(tokens: readonly number[]): Token[]
}

const exact = { flashAttention: false, experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' } as const

const defaultContextLimit = 4096
/** llama.cpp rounds context sizes up to this anyway. */
const contextStep = 256

export async function loadBase({ path, sha256, contextSize, threads }: LoadRequest): Promise<LoadedBase> {
  const log = createEngineLog()
  const useThreads = threads ?? Math.max(1, availableParallelism() - 1)
  const model = await loadModel(path, useThreads, log)
  const template = chatTemplateOf(model)
  const info = describe(model, contextSize, template)
  const slots = new Map<Purpose, Slot>()

  return {
    path,
    sha256,
    info,
    model,
    template,
    async sequenceFor(purpose, adapters, tokens = info.contextSize) {
      if (tokens > info.contextSize) {
        throw new MeshError('bad-input', `${tokens} tokens are more than the ${info.contextSize} this base can hold.`, {
          tokens,
        })
      }
      // Scoring needs room for its longest sequence only; an F32 cache of the full length of a large base would be gigabytes.
      const size = purpose === 'chat' ? info.contextSize : Math.ceil(tokens / contextStep) * contextStep
      const key = JSON.stringify([size, adapters.map(({ path, scale }) => [path, scale])])
      const present = slots.get(purpose)
      if (present?.key === key) return present.sequence
      slots.delete(purpose)
      await present?.context.dispose()
      const context = await createContext(model, { purpose, size, threads: useThreads, adapters, log })
      const slot = { key, context, sequence: context.getSequence() }
      slots.set(purpose, slot)
      return slot.sequence
    },
    checkTokens(tokens) {
      const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= info.vocabulary)
      if (wrong !== undefined) {
        throw new MeshError(
          'bad-input',
          `Token ${wrong} is not in the vocabulary of this base (${info.vocabulary} tokens).`,
          {
            token: wrong,
          },
        )
      }
      return [...tokens] as Token[]
    },
  }
}

async function loadModel(path: string, threads: number, log: EngineLog): Promise<LlamaModel> {
  // Only the prebuilt CPU binary of the installed package: never a download, never a compiler.
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    usePrebuiltBinaries: true,
    progressLogs: false,
    maxThreads: threads,
    logLevel: LlamaLogLevel.warn,
    logger: (_level, message) => log.add(message),
  })
  log.drain()
  try {
    return await llama.loadModel({ modelPath: path, gpuLayers: 0 })
  } catch (error) {
    throw refusalOf(path, error, log)
  }
}

function describe(model: LlamaModel, contextSize: number | undefined, template: ChatTemplate | undefined): EngineBase {
  const { tokens, trainContextSize } = model
  return {
    architecture: String(model.fileInfo.metadata.general.architecture),
    vocabulary: model.fileInfo.metadata.tokenizer?.ggml.tokens.length ?? 0,
    contextSize: Math.min(contextSize ?? defaultContextLimit, trainContextSize),
    ...(tokens.bos !== null && tokens.shouldPrependBosToken && { bos: tokens.bos }),
    chatTemplate: template !== undefined,
  }
}

async function createContext(
  model: LlamaModel,
  options: {
    purpose: Purpose
    size: number
    threads: number
    adapters: readonly ScaledFile[]
    log: EngineLog
  },
): Promise<LlamaContext> {
  const { purpose, size, threads, adapters, log } = options
  log.drain()
  try {
    return await model.createContext({
      contextSize: size,
      threads,
      lora: { adapters: adapters.map(({ path, scale }) => ({ filePath: path, scale })) },
      failedCreationRemedy: false,
      ...(purpose === 'score' && exact),
    })
  } catch (error) {
    throw refusalOf(adapters[0]?.path ?? 'the context', error, log)
  }
}
