// Adapters for every architecture, also those that the kit has no files of: what llama.cpp computes with a converted adapter must be what it
// computes with a base to which the same updates were added, whether the base keeps q, k and v apart or fused.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { SupportedArchitecture } from '../protocol/index.ts'
import { largestLogDifference, runLlama } from '../testing/llama-runs.ts'
import { safetensorsBytes, writePeftFolder } from '../testing/peft-folder.ts'
import { validateAdapter } from './adapter-validator.ts'
import { inspectBase } from './base-info.ts'
import { memorySource, openFileSource } from './byte-source.ts'
import { readGguf, readTensor } from './gguf-reader.ts'
import { writeGguf } from './gguf-writer.ts'
import { convertPeft } from './peft-import.ts'
import { randomBaseBytes } from './random-model.ts'
import { decodeTensor, encodeTensor } from './tensor-dtypes.ts'
import { fuseQkv, splitQkv } from '../testing/fuse-qkv.ts'
import { randomPeft, type RandomModule } from './testing/random-peft.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-architectures-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string): string => join(folder, name)

const [layers, width, heads, kvHeads, feedForward, vocabulary] = [2, 32, 4, 2, 48, 300]
const passages = [Array.from({ length: 40 }, (_, i) => (i === 0 ? 1 : 3 + ((i * 37) % 290)))]

/** Where a module's rows go in the plain base, and by how many heads they are interleaved there. */
interface Destination {
  readonly tensor: string
  readonly interleavedHeads?: number
}

function aBase(architecture: SupportedArchitecture, headSize: number): Uint8Array<ArrayBuffer> {
  const sizes = { layers, width, heads, kvHeads, headSize, feedForward, vocabulary }
  return randomBaseBytes({ architecture, ...sizes, name: `random ${architecture.slice(0, 3)}` })
}

function withUpdates(bytes: Uint8Array, updates: ReadonlyMap<string, Float64Array>): Uint8Array {
  const file = readGguf(memorySource(bytes), 'base')
  const tensors = file.tensors.map((tensor) => {
    const values = Float64Array.from(decodeTensor('F32', readTensor(file, tensor)))
    for (const [index, change] of (updates.get(tensor.name) ?? []).entries()) values[index]! += change
    return { name: tensor.name, type: tensor.type, shape: tensor.shape, data: encodeTensor('F32', values) }
  })
  return writeGguf({ metadata: file.metadata, tensors })
}

/** Row h*d + s*d/2 + j of transformers becomes row h*d + 2j + s, for s = 0 and 1. */
function interleaved(update: Float64Array, inputs: number, headCount: number): Float64Array {
  const out = new Float64Array(update.length)
  const size = update.length / inputs / headCount
  for (let head = 0; head < headCount; head++) {
    for (let s = 0; s < 2; s++) {
      for (let j = 0; j < size / 2; j++) {
        const from = (head * size + (s * size) / 2 + j) * inputs
        out.set(update.subarray(from, from + inputs), (head * size + 2 * j + s) * inputs)
      }
    }
  }
  return out
}

interface Case {
  readonly architecture: SupportedArchitecture
  readonly headSize: number
  readonly what: string
  /** By the end of the module's name; only these are adapted. */
  readonly ranks: Readonly<Record<string, number>>
  readonly alphas?: Readonly<Record<string, number>>
  readonly prefix?: string
}

function modulesOf({ architecture, headSize, ranks, alphas = {}, prefix = 'model' }: Case): {
  modules: Record<string, RandomModule>
  destinations: Map<string, Destination>
} {
  const [queryRows, keyRows] = [heads * headSize, kvHeads * headSize]
  const permutes = architecture === 'llama'
  const all: Record<string, { inputs: number; rows: number; tensor: string; interleavedHeads?: number }> = {
    'self_attn.q_proj': {
      inputs: width,
      rows: queryRows,
      tensor: 'attn_q',
      ...(permutes && { interleavedHeads: heads }),
    },
    'self_attn.k_proj': {
      inputs: width,
      rows: keyRows,
      tensor: 'attn_k',
      ...(permutes && { interleavedHeads: kvHeads }),
    },
    'self_attn.v_proj': { inputs: width, rows: keyRows, tensor: 'attn_v' },
    'self_attn.qkv_proj': { inputs: width, rows: queryRows + 2 * keyRows, tensor: 'attn_qkv' },
    'self_attn.o_proj': { inputs: queryRows, rows: width, tensor: 'attn_output' },
    'mlp.gate_proj': { inputs: width, rows: feedForward, tensor: 'ffn_gate' },
    'mlp.up_proj': { inputs: width, rows: feedForward, tensor: 'ffn_up' },
    'mlp.gate_up_proj': { inputs: width, rows: 2 * feedForward, tensor: 'ffn_up' },
    'mlp.down_proj': { inputs: feedForward, rows: width, tensor: 'ffn_down' },
  }
  const modules: Record<string, RandomModule> = {}
  const destinations = new Map<string, Destination>()
  for (let block = 0; block < layers; block++) {
    for (const [path, { inputs, rows, tensor, interleavedHeads }] of Object.entries(all)) {
      const short = path.split('.').at(-1)!
      const rank = ranks[short]
      if (rank === undefined) continue
      const name = `${prefix}.layers.${block}.${path}`
      modules[name] = { inputs, rows, rank, scale: (alphas[short] ?? 4) / rank }
      destinations.set(name, { tensor: `blk.${block}.${tensor}.weight`, ...(interleavedHeads && { interleavedHeads }) })
    }
  }
  return { modules, destinations }
}

const everyLinear = { q_proj: 2, k_proj: 2, v_proj: 2, o_proj: 2, gate_proj: 2, up_proj: 2, down_proj: 2 }
const cases: readonly Case[] = [
  {
    architecture: 'llama',
    headSize: 12,
    what: 'every linear module, heads wider than width / heads',
    ranks: everyLinear,
  },
  { architecture: 'llama', headSize: 8, what: 'k only', ranks: { k_proj: 3 } },
  {
    architecture: 'llama',
    headSize: 8,
    what: 'other ranks and alphas for q, k and v',
    ranks: { q_proj: 1, k_proj: 4, v_proj: 2 },
    alphas: { k_proj: 7 },
  },
  { architecture: 'qwen2', headSize: 8, what: 'every linear module', ranks: everyLinear },
  { architecture: 'qwen2', headSize: 8, what: 'q and v', ranks: { q_proj: 4, v_proj: 4 } },
  { architecture: 'qwen3', headSize: 12, what: 'every linear module', ranks: everyLinear },
  { architecture: 'qwen3', headSize: 12, what: 'v and o', ranks: { v_proj: 2, o_proj: 3 }, alphas: { v_proj: 1 } },
  { architecture: 'gemma2', headSize: 12, what: 'every linear module', ranks: everyLinear },
  { architecture: 'gemma3', headSize: 12, what: 'every linear module', ranks: everyLinear },
  {
    architecture: 'gemma3',
    headSize: 12,
    what: 'a multimodal folder',
    ranks: { q_proj: 2, k_proj: 3, up_proj: 2 },
    prefix: 'model.language_model',
  },
  {
    architecture: 'gemma3',
    headSize: 12,
    what: 'a multimodal folder of older date',
    ranks: { k_proj: 3, v_proj: 3, down_proj: 2 },
    prefix: 'language_model.model',
  },
  {
    architecture: 'phi3',
    headSize: 8,
    what: 'every linear module',
    ranks: { qkv_proj: 2, o_proj: 2, gate_up_proj: 2, down_proj: 2 },
  },
]

async function convertedFor(basePath: string, dir: string, out: string): Promise<string> {
  const base = await inspectBase(basePath)
  await convertPeft({ dir, base, out })
  using source = openFileSource(out)
  await validateAdapter(source, base)
  return out
}

describe('converted adapters do what a base with their updates added does', () => {
  test.each(cases)('$architecture, $what', async (each) => {
    const { architecture, headSize, ranks, alphas } = each
    const { modules, destinations } = modulesOf(each)
    const { tensors, updates } = randomPeft(modules)
    const config = { r: 2, lora_alpha: 4, rank_pattern: ranks, alpha_pattern: alphas ?? {} }
    const dir = await writePeftFolder(at('peft'), { config, weights: safetensorsBytes(tensors) })
    const placed = [...updates].map(([name, update]): [string, Float64Array] => {
      const { tensor, interleavedHeads } = destinations.get(name)!
      const { inputs } = modules[name]!
      return [tensor, interleavedHeads === undefined ? update : interleaved(update, inputs, interleavedHeads)]
    })
    const written = aBase(architecture, headSize)
    writeFileSync(at('merged.gguf'), withUpdates(written, new Map(placed)))
    const otherForm = architecture === 'phi3' ? splitQkv(written, [width, width / 2, width / 2]) : fuseQkv(written)
    const bare = { adapters: [], passages, keepDistributions: true }
    const [[merged], ...forms] = await Promise.all([
      runLlama({ base: at('merged.gguf'), runs: [bare] }),
      ...[written, otherForm].map(async (bytes, index) => {
        const path = at(`base-${index}.gguf`)
        writeFileSync(path, bytes)
        const adapter = await convertedFor(path, dir, at(`adapter-${index}.gguf`))
        return await runLlama({ base: path, runs: [bare, { ...bare, adapters: [{ path: adapter, scale: 1 }] }] })
      }),
    ])
    for (const [unchanged, adapted] of forms) {
      expect(largestLogDifference(adapted!, merged!)).toBeLessThan(1e-3)
      expect(largestLogDifference(unchanged!, merged!)).toBeGreaterThan(1e-2)
    }
  })
})
