// Sentence embedders in ONNX form through transformers.js, from a folder or by name from the model hub. The library and its native
// runtime weigh hundreds of megabytes: both are loaded by the first `embed`, never by importing this file.
import { basename, dirname, resolve } from 'node:path'
import type * as Transformers from '@xenova/transformers'
import type { FeatureExtractionPipeline } from '@xenova/transformers'
import { MeshError } from '../protocol/index.ts'
import { normalised } from './ngram-embedder.ts'
import type { Embedder, EmbedOptions } from './ports.ts'

export interface TransformersEmbedderOptions {
  /** A model folder in transformers.js's layout (config.json, tokenizer.json, onnx/model_quantized.onnx), or a hub name such as `Xenova/all-MiniLM-L6-v2`. */
  readonly model: { readonly folder: string } | { readonly hub: string }
  /** Which ONNX file of the folder: `q8` is model_quantized.onnx. */
  readonly dtype?: 'q8' | 'fp32' | 'fp16'
  readonly dimensions?: number
  /** Cuts a text before the tokenizer sees it; the model itself reads only its first tokens (256 for MiniLM). */
  readonly maxChars?: number
}

const miniLmDimensions = 384

/** Mean pooling over tokens, normalised: how the sentence-transformers family is meant to be used. */
export function createTransformersEmbedder(options: TransformersEmbedderOptions): Embedder {
  const dimensions = options.dimensions ?? miniLmDimensions
  const dtype = options.dtype ?? 'q8'
  const maxChars = options.maxChars ?? 8_192
  const name = 'folder' in options.model ? basename(resolve(options.model.folder)) : options.model.hub
  let loading: Promise<FeatureExtractionPipeline> | undefined
  let disposed = false

  return {
    id: `transformers-${name}-${dtype}/1`,
    dimensions,
    trust: { unrelatedCosine: 0.2, sameCosine: 0.8, rankWeight: 2.4, bridgesMeaning: true },
    async embed(texts: readonly string[], embedOptions: EmbedOptions = {}) {
      const vectors: Float32Array[] = []
      for (const text of texts) {
        requireUsable(disposed, embedOptions.signal)
        loading ??= loadPipeline(options, dtype)
        const extract = await loading
        requireUsable(disposed, embedOptions.signal)
        // One text at a time: padding to the longest of a batch would change the last digits of the others.
        const output = await extract(text.slice(0, maxChars), { pooling: 'mean', normalize: true })
        const vector = Float32Array.from(output.data as Float32Array)
        if (vector.length !== dimensions) {
          throw new MeshError(
            'bad-config',
            `The embedder ${name} gives ${vector.length} numbers per text, not ${dimensions}: set its dimensions in the configuration.`,
            { expected: dimensions, actual: vector.length },
          )
        }
        vectors.push(normalised(vector))
      }
      requireUsable(disposed, embedOptions.signal)
      return vectors
    },
    async [Symbol.asyncDispose]() {
      disposed = true
      const loaded = loading
      loading = undefined
      // A pipeline that never loaded has nothing to release; its error went to whoever asked for a vector.
      const extract = await loaded?.catch(() => undefined)
      await extract?.dispose()
    },
  }
}

function requireUsable(disposed: boolean, signal: AbortSignal | undefined): void {
  if (disposed) throw new MeshError('bad-input', 'This embedder was closed: create a new one.')
  if (signal?.aborted) throw new MeshError('aborted', 'Embedding was cancelled.')
}

/** Loads happen one after another, because the library takes the folder from a global setting. */
let lastLoad: Promise<unknown> = Promise.resolve()

function loadPipeline(
  options: TransformersEmbedderOptions,
  dtype: 'q8' | 'fp32' | 'fp16',
): Promise<FeatureExtractionPipeline> {
  const load = lastLoad.then(() => loadNow(options, dtype))
  lastLoad = load.catch(() => undefined)
  return load
}

async function loadNow(
  options: TransformersEmbedderOptions,
  dtype: 'q8' | 'fp32' | 'fp16',
): Promise<FeatureExtractionPipeline> {
  const { env, pipeline } = await loadLibrary()
  const local = 'folder' in options.model
  const folder = 'folder' in options.model ? resolve(options.model.folder) : undefined
  if (folder !== undefined) env.localModelPath = dirname(folder)
  env.allowLocalModels = local
  env.allowRemoteModels = !local
  const model = 'folder' in options.model ? basename(resolve(options.model.folder)) : options.model.hub
  try {
    return await pipeline('feature-extraction', model, { dtype })
  } catch (cause) {
    const where = folder === undefined ? `the model hub as ${model}` : folder
    throw new MeshError(
      'not-found',
      `The embedder model could not be loaded from ${where}: check the path, or leave the setting out to use the built-in embedder.`,
      { model: folder ?? model },
      { cause },
    )
  }
}

async function loadLibrary(): Promise<Pick<typeof Transformers, 'env' | 'pipeline'>> {
  try {
    return await import('@xenova/transformers')
  } catch (cause) {
    throw new MeshError(
      'bad-config',
      'This embedder needs the optional package @xenova/transformers, which is not installed: run `npm install` without --omit=optional, or leave the setting out to use the built-in embedder.',
      { package: '@xenova/transformers' },
      { cause },
    )
  }
}
