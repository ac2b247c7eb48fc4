import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { toHex } from '../../protocol/index.ts'
import { loraBytes, loraTensor } from '../testing/lora-bytes.ts'
import { readAdapter } from '../testing/read-adapter.ts'
import { chooseDeltaBits } from './index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-mesh-bits-'))
  writeFileSync(
    oldPath(),
    fileOf(() => 0),
  )
  writeFileSync(
    newPath(),
    fileOf((i) => Math.sin(i * i)),
  )
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const oldPath = (): string => join(folder, 'older')
const newPath = (): string => join(folder, 'newer')

function fileOf(numberAt: (index: number) => number): Uint8Array {
  return loraBytes({ tensors: [loraTensor('a', [64, 64], 'F32', numberAt)] })
}

/** Minus the mean distance from what was trained: a score of its own kind that falls with every bit that is left out. */
async function evaluate(path: string): Promise<number> {
  const { values } = readAdapter(path).tensors.get('a')!
  return -values.reduce((sum, value, i) => sum + Math.abs(value - Math.sin(i * i)), 0) / values.length
}

const choose = (tolerance: number, bits?: readonly number[]) =>
  chooseDeltaBits({ oldPath: oldPath(), newPath: newPath(), folder, evaluate, tolerance, bits })

it('the fewest bits that lose no more than is tolerated are chosen, and what they and fewer lose is told', async () => {
  const { chosen, trials } = await choose(0.05)
  expect(trials.map(({ bits }) => bits)).toEqual([2, 3, 4])
  expect(trials.map(({ loss }) => loss > 0.05)).toEqual([true, true, false])
  expect(chosen).toMatchObject({ bits: 4, patch: { bytes: trials[2]!.patchBytes } })
  expect(await evaluate(chosen!.file.path)).toBe(trials[2]!.score)
  const name = `${toHex(chosen!.file.sha256)}.gguf`
  expect(readdirSync(folder).toSorted()).toEqual([name, '4-bits.patch', 'newer', 'older'].toSorted())
})

it('none are chosen where all lose too much, and nothing is left', async () => {
  const { chosen, trials } = await choose(0)
  expect(chosen).toBeUndefined()
  expect(trials.map(({ bits }) => bits)).toEqual([2, 3, 4, 5, 6, 7, 8])
  expect(readdirSync(folder).toSorted()).toEqual(['newer', 'older'])
})

it('only those that are asked for are tried', async () => {
  const { trials } = await choose(10, [6])
  expect(trials.map(({ bits }) => bits)).toEqual([6])
})

it('an evaluator that remembers by path is never shown two contents under one', async () => {
  const shown = new Map<string, Set<string>>()
  const remember = async (path: string): Promise<number> => {
    const contents = shown.get(path) ?? new Set()
    shown.set(path, contents.add(readFileSync(path).toString('hex')))
    return 0
  }
  for (const [i, name] of ['newer', 'another'].entries()) {
    const trained = join(folder, name)
    writeFileSync(
      trained,
      fileOf((j) => Math.cos(j * (i + 1))),
    )
    await chooseDeltaBits({ oldPath: oldPath(), newPath: trained, folder, evaluate: remember, tolerance: -1 })
  }
  expect(shown.size).toBe(16)
  expect([...shown.values()].every(({ size }) => size === 1)).toBe(true)
})
