// Real files for the assembler's tests: stories260K as base, and small LoRA adapters for it with weights from a seeded generator.
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ggmlTypes, sha256File, writeGgufFile } from '../../model-files/index.ts'
import type { GgufValue } from '../../model-files/index.ts'
import { toHex } from '../../protocol/index.ts'
import { kit } from '../../testing/kit.ts'
import { createEngine } from '../index.ts'
import type { Engine, EngineOptions, ModelFile, ScaledAdapter } from '../index.ts'

export interface StoryWorld extends AsyncDisposable {
  readonly folder: string
  readonly base: ModelFile
  readonly engine: Engine
  /** An engine of its own, gone with the world. */
  anotherEngine(options?: EngineOptions): Promise<Engine>
  /** Changes q and v of every block of stories260K. `strength` 0.3 is felt, 3 ruins the model. */
  anAdapter(options?: { rngSeed?: number; rank?: number; strength?: number }): Promise<ScaledAdapter & { rank: number }>
}

export async function modelFile(path: string): Promise<ModelFile> {
  return { path, sha256: toHex(await sha256File(path)) }
}

export const kitFile = (...parts: string[]): Promise<ModelFile> => modelFile(kit.path(...parts))

export const readKitJson = <T>(...parts: string[]): T => JSON.parse(readFileSync(kit.path(...parts), 'utf8')) as T

export async function storyWorld(options: EngineOptions = {}): Promise<StoryWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-assembler-'))
  const base = await kitFile('models', 'stories260K.gguf')
  const engines: Engine[] = []
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
    async anAdapter({ rngSeed = 1, rank = 4, strength = 0.3 } = {}) {
      const path = join(folder, `${rngSeed}-${rank}-${strength}.gguf`)
      const { sha256 } = await writeGgufFile(path, randomLora(rngSeed, rank, strength))
      return { path, sha256: toHex(sha256), scale: 1, rank }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()))
      await rm(folder, { recursive: true })
    },
  }
}

const width = 64
const blocks = 5
const rows = { attn_q: 64, attn_v: 32 }

function randomLora(rngSeed: number, rank: number, strength: number): Parameters<typeof writeGgufFile>[1] {
  const random = numbersFrom(rngSeed)
  const matrix = (name: string, shape: [number, number], size: number) => ({
    name,
    type: ggmlTypes.F32,
    shape,
    data: new Uint8Array(Float32Array.from({ length: shape[0] * shape[1] }, () => random() * size).buffer),
  })
  const metadata: [string, GgufValue][] = [
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: rank }],
  ]
  const tensors = Array.from({ length: blocks }, (_, block) =>
    Object.entries(rows).flatMap(([kind, out]) => [
      matrix(`blk.${block}.${kind}.weight.lora_a`, [width, rank], 1 / Math.sqrt(width)),
      matrix(`blk.${block}.${kind}.weight.lora_b`, [rank, out], strength),
    ]),
  ).flat()
  return { metadata, tensors }
}

/** Uniform in -1..1 (a 32-bit xorshift, G. Marsaglia, "Xorshift RNGs", 2003). */
function numbersFrom(rngSeed: number): () => number {
  let state = (rngSeed * 0x9e3779b9) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 0x8000_0000 - 1
  }
}
