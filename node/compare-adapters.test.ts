import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  inspectBase,
  openFileSource,
  randomAdapter,
  randomBase,
  readGguf,
  readTensor,
  writeLora,
} from '../model-files/index.ts'
import type { AdapterBase } from '../model-files/index.ts'
import { compareAdapters } from './compare-adapters.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const context = { signal: new AbortController().signal }

test.each([
  [2, 3],
  [3, 3],
])('of ranks %i and %i the change is that of the updates written out, per kind and in all', async (one, other) => {
  await using lab = await aLab()
  const a = await lab.random({ rank: one, alpha: 4, rngSeed: 1 })
  const b = await lab.random({ rank: other, alpha: 3, rngSeed: 2 })
  const { all, kinds } = await compareAdapters(a, b, context)
  const [updatesA, updatesB] = [updatesOf(a), updatesOf(b)]
  for (const kind of ['attn_q', 'ffn_down']) {
    const ofKind = (target: string): boolean => target.includes(`.${kind}.`)
    const found = kinds.find((row) => row.kind === kind)!
    expect(found.matrices).toBe(2)
    expect(found.relativeChange).toBeCloseTo(relativeChange(updatesA, updatesB, ofKind), 9)
  }
  expect(all.relativeChange).toBeCloseTo(
    relativeChange(updatesA, updatesB, () => true),
    9,
  )
  expect(kinds.map(({ kind }) => kind)).toEqual(kinds.map(({ kind }) => kind).toSorted())
})

test('an adapter is at no distance from itself', async () => {
  await using lab = await aLab()
  const path = await lab.random({ rank: 4 })
  const { all, kinds } = await compareAdapters(path, path, context)
  for (const row of [all, ...kinds]) expect(row).toMatchObject({ relativeChange: 0, normA: row.normB })
})

test('the same update written with its scale folded in is the same update', async () => {
  await using lab = await aLab()
  const path = await lab.random({ rank: 2, alpha: 6 })
  const folded = await lab.scaledInto(path, 3)
  const { all } = await compareAdapters(path, folded, context)
  expect(all.relativeChange).toBeLessThan(1e-6)
  expect(all.normA).toBeGreaterThan(0.1)
})

test('kinds that only one of them changes are new, or a change of all there was', async () => {
  await using lab = await aLab()
  const q = await lab.random({ targets: ['attn_q'] })
  const v = await lab.random({ targets: ['attn_v'] })
  const { kinds } = await compareAdapters(q, v, context)
  expect(kinds).toMatchObject([
    { kind: 'attn_q', relativeChange: 1, normB: 0 },
    { kind: 'attn_v', normA: 0 },
  ])
  expect(kinds[1]).not.toHaveProperty('relativeChange')
})

test('adapters of bases of other sizes are refused by the matrix that shows it', async () => {
  await using lab = await aLab()
  const path = await lab.random({ rank: 2 })
  const wider = join(lab.folder, 'wider.gguf')
  await randomBase({ layers: 2, width: 64, heads: 2, feedForward: 48 }, wider)
  const other = join(lab.folder, 'other.gguf')
  await randomAdapter(await inspectBase(wider), { rank: 2 }, other)
  await expect(compareAdapters(path, other, context)).rejects.toMatchObject({
    code: 'shape-mismatch',
    details: { tensor: expect.stringContaining('blk.0.') },
  })
})

async function aLab() {
  const { path: folder, ...rest } = await temporaryFolder()
  const basePath = join(folder, 'base.gguf')
  await randomBase({ layers: 2, width: 32, heads: 2, feedForward: 48 }, basePath)
  const base: AdapterBase = await inspectBase(basePath)
  let made = 0
  return {
    ...rest,
    folder,
    async random(options: Parameters<typeof randomAdapter>[1]): Promise<string> {
      const path = join(folder, `adapter-${made++}.gguf`)
      await randomAdapter(base, options, path)
      return path
    },
    /** With B times `scale`, and alpha 0, which says that the scale is in it. */
    async scaledInto(path: string, scale: number): Promise<string> {
      const out = join(folder, `adapter-${made++}.gguf`)
      using source = openFileSource(path)
      const file = readGguf(source, 'adapter')
      const pairs = file.tensors
        .filter(({ name }) => name.endsWith('.lora_a'))
        .map((a) => {
          const target = a.name.slice(0, -'.lora_a'.length)
          const b = file.tensors.find(({ name }) => name === `${target}.lora_b`)!
          const scaled = floats(readTensor(file, b)).map((value) => value * scale)
          return {
            target,
            a: { dtype: 'F32' as const, shape: a.shape as [number, number], chunks: () => [readTensor(file, a)] },
            b: { dtype: 'F32' as const, shape: b.shape as [number, number], chunks: () => [bytesOf(scaled)] },
          }
        })
      await writeLora(out, { architecture: base.architecture, alpha: 0, pairs }, {})
      return out
    },
  }
}

/** Target -> s B A, row after row. */
function updatesOf(path: string): Map<string, Float64Array> {
  using source = openFileSource(path)
  const file = readGguf(source, 'adapter')
  const alphaValue = file.metadata.get('adapter.lora.alpha')
  const alpha = Number(alphaValue?.type === 'float32' ? alphaValue.value : 0)
  const updates = new Map<string, Float64Array>()
  for (const a of file.tensors.filter(({ name }) => name.endsWith('.lora_a'))) {
    const target = a.name.slice(0, -'.lora_a'.length)
    const b = file.tensors.find(({ name }) => name === `${target}.lora_b`)!
    const [width, rank] = a.shape as [number, number]
    const [left, right] = [floats(readTensor(file, b)), floats(readTensor(file, a))]
    const update = new Float64Array(width * b.shape[1]!)
    for (let i = 0; i < b.shape[1]!; i++)
      for (let j = 0; j < width; j++)
        for (let k = 0; k < rank; k++)
          update[i * width + j]! += (alpha / rank) * left[i * rank + k]! * right[k * width + j]!
    updates.set(target, update)
  }
  return updates
}

function relativeChange(
  a: ReadonlyMap<string, Float64Array>,
  b: ReadonlyMap<string, Float64Array>,
  counts: (target: string) => boolean,
): number {
  const sums = { difference: 0, norm: 0 }
  for (const [target, before] of a) {
    if (!counts(target)) continue
    const after = b.get(target)!
    for (const [i, value] of before.entries()) {
      sums.difference += (after[i]! - value) ** 2
      sums.norm += value ** 2
    }
  }
  return Math.sqrt(sums.difference / sums.norm)
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer)
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
