// Real files for the assembler's tests: a base (stories260K of the kit, or random numbers where the kit is absent), and small LoRA
// adapters for it. One temporary folder and all engines are gone with the world.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  bakeAdapters,
  ggmlTypes,
  inspectBase,
  openFileSource,
  randomAdapter,
  randomBase,
  readGguf,
  sha256File,
  tensorBytes,
  writeGgufFile,
} from '../../model-files/index.ts'
import type { GgufValue } from '../../model-files/index.ts'
import { toHex } from '../../protocol/index.ts'
import { kit } from '../../testing/kit.ts'
import { createEngine } from '../index.ts'
import type { Bake, Engine, EngineOptions, ModelFile, StackMember } from '../index.ts'

export interface SmallWorld extends AsyncDisposable {
  readonly folder: string
  readonly base: ModelFile & { readonly baseId: string }
  /** Has the base loaded. */
  readonly engine: Engine
  /** An engine of its own with the base loaded. */
  anotherEngine(options?: EngineOptions): Promise<Engine>
  /** Changes every attn_q and attn_v of the base: a strength of 1 is felt, 10 ruins the model. */
  anAdapter(options?: { rngSeed?: number; rank?: number; strength?: number }): Promise<StackMember>
  /** A copy of the base with this chat template (Jinja) in it. */
  withTemplate(template: string): Promise<ModelFile>
  /** A LoRA whose alpha has the wrong type: llama.cpp aborts on it. */
  aKiller(): Promise<StackMember>
}

export async function modelFile(path: string): Promise<ModelFile> {
  return { path, sha256: toHex(await sha256File(path)) }
}

export const kitFile = (...parts: string[]): Promise<ModelFile> => modelFile(kit.path(...parts))

export const readKitJson = <T>(...parts: string[]): T => JSON.parse(readFileSync(kit.path(...parts), 'utf8')) as T

export const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  )

/** The real baking, as it is wired in a node. */
export const bake: Bake = async ({ base, ...job }) => {
  const baked = await bakeAdapters({ ...job, base: await inspectBase(base) })
  return { ...baked, sha256: toHex(baked.sha256) }
}

export async function smallWorld(which: 'stories260K' | 'random', options: EngineOptions = {}): Promise<SmallWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-assembler-'))
  const path = which === 'random' ? join(folder, 'base.gguf') : kit.path('models', `${which}.gguf`)
  if (which === 'random') await randomBase({}, path)
  const inspected = await inspectBase(path)
  const base = { ...(await modelFile(path)), baseId: inspected.baseId }
  const engines: Engine[] = []
  let templates = 0
  const anotherEngine = async (engineOptions: EngineOptions = options): Promise<Engine> => {
    const engine = createEngine(engineOptions)
    engines.push(engine)
    await engine.load(base)
    return engine
  }
  return {
    folder,
    base,
    engine: await anotherEngine(),
    anotherEngine,
    async anAdapter({ rngSeed = 1, rank = 4, strength = 1 } = {}) {
      const path = join(folder, `${rngSeed}-${rank}-${strength}.gguf`)
      const shape = { rank, rngSeed, alpha: 2 * rank * strength, targets: ['attn_q', 'attn_v'] }
      const { sha256 } = await randomAdapter(inspected, shape, path)
      return { path, sha256: toHex(sha256), scale: 1, rank }
    },
    async withTemplate(template) {
      const out = join(folder, `${templates++}.template.gguf`)
      using source = openFileSource(path)
      const { metadata, tensors, dataOffset } = readGguf(source, 'base')
      const tensorsWithData = tensors.map(({ name, type, shape, offset }) => {
        return { name, type, shape, data: source.read(dataOffset + offset, tensorBytes(type, shape) ?? 0) }
      })
      const withIt: [string, GgufValue][] = [
        ...metadata,
        ['tokenizer.chat_template', { type: 'string', value: template }],
      ]
      const { sha256 } = await writeGgufFile(out, { metadata: withIt, tensors: tensorsWithData })
      return { path: out, sha256: toHex(sha256) }
    },
    async aKiller() {
      const path = join(folder, 'killer.gguf')
      const matrix = (name: string, shape: number[]) => {
        return { name, shape, type: ggmlTypes.F32, data: new Uint8Array(shape.reduce((n, size) => n * size, 4)) }
      }
      const { sha256 } = await writeGgufFile(path, {
        metadata: [
          ['general.type', { type: 'string', value: 'adapter' }],
          ['general.architecture', { type: 'string', value: 'llama' }],
          ['adapter.type', { type: 'string', value: 'lora' }],
          ['adapter.lora.alpha', { type: 'float64', value: 4 }],
        ],
        tensors: [matrix('blk.0.attn_q.weight.lora_a', [64, 4]), matrix('blk.0.attn_q.weight.lora_b', [4, 64])],
      })
      return { path, sha256: toHex(sha256), scale: 1, rank: 4 }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()))
      await rm(folder, { recursive: true })
    },
  }
}
