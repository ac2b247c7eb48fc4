import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { isMeshError, MeshError } from '../protocol/index.ts'
import { siblingEntry, superviseChild } from '../supervisor/index.ts'
import type { ChildState, SupervisedChild } from '../supervisor/index.ts'
import type { EngineBase, EngineRequests, GenerateRequest, Prompt } from './engine-messages.ts'
import type { AskOptions, Engine, EngineState, GenerateOptions, ModelFile, ScaledAdapter } from './ports.ts'
import { createTurnstile } from './turnstile.ts'

export interface EngineOptions {
  /** Default: cores - 1. */
  readonly threads?: number
  /** Tokens; default: what the base was trained with, at most 4096. */
  readonly contextSize?: number
  /** Adapters stay in memory until the engine process ends: beyond this many bytes of files it is exchanged for a fresh one. */
  readonly adapterBudgetBytes?: number
  readonly heartbeatMs?: number
  onState?(state: EngineState): void
}

const defaultAdapterBudgetBytes = 512 * 1024 * 1024
const defaultMaxTokens = 256

/** Starts no process before the first `load`. */
export function createEngine(options: EngineOptions = {}): Engine {
  return new EngineProcess(options)
}

/** What the running process has in memory; a process with another pid has nothing. */
interface Loaded {
  readonly pid: number
  readonly base: ModelFile
  readonly info: EngineBase
  readonly adapters: Map<string, number>
}

class EngineProcess implements Engine {
  readonly #options: EngineOptions
  readonly #turnstile = createTurnstile()
  #child: SupervisedChild | undefined
  #base: ModelFile | undefined
  #loaded: Loaded | undefined
  #disposed = false

  constructor(options: EngineOptions) {
    this.#options = options
  }

  get state(): EngineState {
    return this.#child?.state ?? { kind: this.#disposed ? 'stopped' : 'not-started' }
  }

  async load(base: ModelFile, { signal }: Pick<AskOptions, 'signal'> = {}): Promise<EngineBase> {
    this.#base = base
    return this.#turnstile.pass(signal, async () => (await this.#withBase(base, signal)).info)
  }

  async tokenize(text: string, { signal, forBase }: AskOptions = {}): Promise<number[]> {
    return this.#ask('tokenize', { text }, [], { signal, forBase })
  }

  async nll(
    adapters: readonly ScaledAdapter[],
    sequences: readonly (readonly number[])[],
    { signal, forBase, predicted, onProgress }: Parameters<Engine['nll']>[2] = {},
  ): ReturnType<Engine['nll']> {
    const ask = { adapters: filesOf(adapters), sequences, ...(predicted !== undefined && { predicted }) }
    return this.#ask('score', ask, adapters, {
      signal,
      forBase,
      onEvent: (event) => onProgress?.(event as { done: number }),
    })
  }

  async logProbabilities(
    adapters: readonly ScaledAdapter[],
    tokens: readonly number[],
    { signal, forBase }: AskOptions = {},
  ): Promise<Float32Array[]> {
    return this.#ask('logProbabilities', { adapters: filesOf(adapters), tokens }, adapters, { signal, forBase })
  }

  async generate(
    adapters: readonly ScaledAdapter[],
    prompt: Prompt,
    { signal, forBase, maxTokens = defaultMaxTokens, sampling, stopTexts, onToken }: GenerateOptions = {},
  ): ReturnType<Engine['generate']> {
    const ask: GenerateRequest = {
      adapters: filesOf(adapters),
      prompt,
      maxTokens,
      ...(sampling !== undefined && { sampling }),
      ...(stopTexts !== undefined && { stopTexts }),
    }
    return this.#ask('generate', ask, adapters, {
      signal,
      forBase,
      onEvent: (event) => onToken?.((event as { text: string }).text),
    })
  }

  async chat(...[persona, messages, options]: Parameters<Engine['chat']>): ReturnType<Engine['chat']> {
    const { adapters, systemPrompt } = persona
    const system = systemPrompt === undefined ? [] : [{ role: 'system' as const, content: systemPrompt }]
    return this.generate(adapters, { kind: 'messages', messages: [...system, ...messages] }, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    await this.#child?.[Symbol.asyncDispose]()
  }

  /** One request with its base and adapters in memory. The process may die between loading and asking: then once more. */
  async #ask<K extends keyof EngineRequests>(
    type: K,
    ask: EngineRequests[K]['ask'],
    adapters: readonly ScaledAdapter[],
    options: { signal: AbortSignal | undefined; forBase: ModelFile | undefined; onEvent?(event: unknown): void },
  ): Promise<EngineRequests[K]['answer']> {
    // Now, not when its turn comes: by then somebody else may have loaded another one.
    const base = options.forBase ?? this.#base
    if (base === undefined)
      throw new MeshError('base-missing', 'No base is loaded. Add one with `lora-mesh base add FILE`.')
    return this.#turnstile.pass(options.signal, async () => {
      for (let attempt = 1; ; attempt++) {
        await this.#withAdapters(base, adapters, options.signal)
        try {
          return await this.#request(type, ask, options)
        } catch (error) {
          if (attempt === 2 || !isMeshError(error) || error.details['reason'] !== 'no-base') throw error
        }
      }
    })
  }

  async #withBase(base: ModelFile, signal: AbortSignal | undefined): Promise<Loaded> {
    const present = this.#present()
    if (present?.base.path === base.path && present.base.sha256 === base.sha256) return present
    const { threads, contextSize } = this.#options
    const ask = {
      path: base.path,
      sha256: base.sha256,
      ...(threads !== undefined && { threads }),
      ...(contextSize !== undefined && { contextSize }),
    }
    const load = (): Promise<EngineBase> => this.#loadFile('load', base, ask, signal)
    const info = await load().catch(async (error: unknown) => {
      if (!isMeshError(error) || error.details['reason'] !== 'other-base') throw error
      // A fresh process for another base: all memory of the old one is given back.
      await this.#theChild().restart('it gets another base')
      return load()
    })
    const { state } = this
    this.#loaded = { pid: state.kind === 'running' ? state.pid : 0, base, info, adapters: new Map() }
    return this.#loaded
  }

  async #withAdapters(
    base: ModelFile,
    adapters: readonly ScaledAdapter[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    let loaded = await this.#withBase(base, signal)
    const wanted = new Map<ScaledAdapter, number>()
    for (const adapter of adapters) {
      if (!loaded.adapters.has(adapter.path)) wanted.set(adapter, await bytesOf(adapter))
    }
    if (
      loaded.adapters.size > 0 &&
      wanted.size > 0 &&
      sum(loaded.adapters.values()) + sum(wanted.values()) > this.#budget
    ) {
      await this.#theChild().restart('its adapters fill the memory they may use')
      loaded = await this.#withBase(base, signal)
    }
    for (const adapter of adapters) {
      if (loaded.adapters.has(adapter.path)) continue
      await this.#loadFile('try', adapter, { path: adapter.path }, signal)
      loaded.adapters.set(adapter.path, wanted.get(adapter) ?? (await bytesOf(adapter)))
    }
  }

  /** Loading is where a file can kill the process, and the only place where one is blamed for it. */
  async #loadFile<K extends 'load' | 'try'>(
    type: K,
    file: ModelFile,
    ask: EngineRequests[K]['ask'],
    signal: AbortSignal | undefined,
  ): Promise<EngineRequests[K]['answer']> {
    try {
      return await this.#request(type, ask, { signal, blame: file.sha256 })
    } catch (error) {
      if (!isMeshError(error, 'child-crashed') || error.details['blame'] === undefined) throw error
      throw new MeshError(
        'child-crashed',
        `The engine process ${String(error.details['exit'])} while it loaded ${basename(file.path)}. It has been restarted; use another file.`,
        { ...error.details, file: basename(file.path), sha256: file.sha256 },
        { cause: error },
      )
    }
  }

  #request<K extends keyof EngineRequests>(
    type: K,
    ask: EngineRequests[K]['ask'],
    { signal, blame, onEvent }: { signal: AbortSignal | undefined; blame?: string; onEvent?(event: unknown): void },
  ): Promise<EngineRequests[K]['answer']> {
    return this.#theChild().request<EngineRequests[K]['answer']>(type, ask, {
      ...(signal !== undefined && { signal }),
      ...(blame !== undefined && { blame }),
      ...(onEvent !== undefined && { onEvent }),
    })
  }

  #present(): Loaded | undefined {
    const { state } = this
    return state.kind === 'running' && this.#loaded?.pid === state.pid ? this.#loaded : undefined
  }

  get #budget(): number {
    return this.#options.adapterBudgetBytes ?? defaultAdapterBudgetBytes
  }

  #theChild(): SupervisedChild {
    if (this.#disposed) throw new MeshError('aborted', 'The engine was stopped.')
    const { heartbeatMs, onState } = this.#options
    this.#child ??= superviseChild({
      name: 'engine',
      entry: siblingEntry('./engine-child/main', import.meta.url),
      // After a failed assertion ggml would start a debugger to print a backtrace.
      env: { GGML_NO_BACKTRACE: '1' },
      ...(heartbeatMs !== undefined && { heartbeatMs }),
      ...(onState !== undefined && { onState: (state: ChildState) => onState(state) }),
    })
    return this.#child
  }
}

function filesOf(adapters: readonly ScaledAdapter[]): { path: string; scale: number }[] {
  return adapters.map(({ path, scale }) => ({ path, scale }))
}

function sum(numbers: Iterable<number>): number {
  return Iterator.from(numbers).reduce((total, n) => total + n, 0)
}

async function bytesOf({ path }: ModelFile): Promise<number> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new MeshError(
      'not-found',
      `The file ${basename(path)} is not there any more.`,
      { file: basename(path) },
      { cause },
    )
  })
  return size
}
