// Making and applying patches, from file to file.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isMeshError, sha256 } from '../../protocol/index.ts'
import { randomNumbers } from '../random-numbers.ts'
import type { TensorDtype } from '../tensor-dtypes.ts'
import { ggmlTypes } from '../gguf-format.ts'
import { loraBytes, loraTensor } from '../testing/lora-bytes.ts'
import type { LoraTensor } from '../testing/lora-bytes.ts'
import { readAdapter } from '../testing/read-adapter.ts'
import { applyPatch, defineByDelta, makePatch } from './index.ts'
import type { FileFacts } from './index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-mesh-patch-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const at = (name: string): string => join(folder, name)
const dtypes: readonly TensorDtype[] = ['F32', 'F16', 'BF16', 'Q8_0']

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(at(name), bytes)
  return at(name)
}

function factsOf(bytes: Uint8Array): FileFacts {
  return { bytes: bytes.length, sha256: sha256(bytes) }
}

interface Versions {
  readonly older: Uint8Array
  readonly newer: Uint8Array
}

/** Two versions of an adapter: the newer one is the older one with every number moved by about `change` of its size. */
function twoVersions(dtype: TensorDtype, change: number, rngSeed = 1, shape: readonly number[] = [64, 32]): Versions {
  const random = randomNumbers(rngSeed, 0)
  const numbers = Array.from({ length: 4 }, () =>
    Float32Array.from({ length: shape[0]! * shape[1]! }, () => random() * random() * 0.1),
  )
  const moved = numbers.map((values) => values.map((value) => value + random() * change * 0.04))
  const tensors = (lists: readonly Float32Array[]): LoraTensor[] =>
    lists.map((values, i) =>
      loraTensor(`blk.${i >> 1}.attn_q.weight.lora_${'ab'[i & 1]}`, shape, dtype, (j) => values[j]!),
    )
  return { older: loraBytes({ tensors: tensors(numbers) }), newer: loraBytes({ tensors: tensors(moved) }) }
}

/** What applying the patch of these two makes, and the patch. */
async function roundTrip({ older, newer }: Versions): Promise<{ rebuilt: Uint8Array; patch: Uint8Array }> {
  const [oldPath, newPath, patchPath] = [put('older', older), put('newer', newer), at('patch')]
  const made = await makePatch({ oldPath, newPath, out: patchPath })
  const patch = new Uint8Array(readFileSync(patchPath))
  expect(factsOf(patch)).toEqual({ bytes: made.bytes, sha256: made.sha256 })
  await applyPatch({ oldPath, patchPath, expected: factsOf(newer), out: at('rebuilt') })
  return { rebuilt: new Uint8Array(readFileSync(at('rebuilt'))), patch }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'done'
  } catch (error) {
    return isMeshError(error) ? error.code : String(error)
  }
}

/** Any bytes that can stand as tensor data, in any dtype, with shapes that may differ between the versions. */
const anyTensor = (name: string): fc.Arbitrary<LoraTensor> =>
  fc
    .tuple(fc.constantFrom(...dtypes), fc.constantFrom(32, 64), fc.integer({ min: 1, max: 3 }))
    .chain(([dtype, columns, rows]) => {
      const { blockElements, blockBytes } = ggmlTypes[dtype]
      const length = ((columns * rows) / blockElements) * blockBytes
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data) => ({ name, type: ggmlTypes[dtype], shape: [columns, rows], data }))
    })
const anyFile = fc
  .uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 })
  .chain((names) => fc.tuple(...names.map(anyTensor)))
  .map((tensors) => loraBytes({ tensors }))

describe('an exact patch', () => {
  it('leads from any adapter file to any other, byte by byte', async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, anyFile, async (older, newer) => {
        expect((await roundTrip({ older, newer })).rebuilt).toEqual(newer)
      }),
      { numRuns: 60 },
    )
  })

  it.each(dtypes)(
    'of %s costs a part of the file where little changed, and next to nothing where nothing did',
    async (dtype) => {
      const { older, newer } = twoVersions(dtype, 0.003)
      const { rebuilt, patch } = await roundTrip({ older, newer })
      expect(rebuilt).toEqual(newer)
      expect(patch.length).toBeLessThan(newer.length * (dtype === 'F32' ? 0.75 : 0.62))
      expect((await roundTrip({ older, newer: older })).patch.length).toBeLessThan(700)
    },
  )

  it('of tensors longer than a chunk, and of many that share one, is as exact', async () => {
    const versions = twoVersions('BF16', 0.01, 3, [1_024, 300])
    expect(sha256((await roundTrip(versions)).rebuilt)).toEqual(sha256(versions.newer))
  })

  it('carries another header, other shapes and tensors that are new', async () => {
    const { older } = twoVersions('F16', 0)
    const tensors = [loraTensor('blk.0.attn_q.weight.lora_a', [64, 16], 'F16'), loraTensor('fresh', [96], 'F32')]
    const newer = loraBytes({ tensors, metadata: { 'adapter.lora.alpha': { type: 'float32', value: 3 } } })
    expect((await roundTrip({ older, newer })).rebuilt).toEqual(newer)
  })

  it('is not made to a file that writing again would change', async () => {
    const { older, newer } = twoVersions('F32', 0.01)
    const tensors = [loraTensor('short', [3], 'F32')]
    const padded = loraBytes({ tensors })
    padded[padded.length - 1] = 1
    const made = (bytes: Uint8Array) =>
      makePatch({ oldPath: put('older', older), newPath: put('newer', bytes), out: at('p') })
    expect(await codeOf(made(padded))).toBe('gguf-refused')
    expect(await codeOf(made(newer.subarray(0, 100)))).toBe('gguf-malformed')
    expect(existsSync(at('p'))).toBe(false)
  })

  it('that nobody waits for any more leaves nothing behind', async () => {
    const { older, newer } = twoVersions('F32', 0.01)
    const [oldPath, newPath] = [put('older', older), put('newer', newer)]
    const stop = new AbortController()
    const options = { signal: stop.signal, onProgress: () => stop.abort() }
    expect(await codeOf(makePatch({ oldPath, newPath, out: at('patch') }, options))).toBe('aborted')
    expect(readdirSync(folder).toSorted()).toEqual(['newer', 'older'])
  })
})

describe('a version defined by a few bits', () => {
  it.each(dtypes)('in %s is rebuilt byte by byte from the older one and the patch', async (dtype) => {
    const { older, newer } = twoVersions(dtype, 0.01)
    for (const bits of [2, 3, 5, 8]) {
      const [oldPath, newPath] = [put('older', older), put('newer', newer)]
      const defined = await defineByDelta({ oldPath, newPath, bits, out: at('defined'), patchOut: at('patch') })
      const bytes = new Uint8Array(readFileSync(at('defined')))
      expect(defined.file).toMatchObject(factsOf(bytes))
      expect(defined.patch).toMatchObject(factsOf(new Uint8Array(readFileSync(at('patch')))))
      await applyPatch({ oldPath, patchPath: at('patch'), expected: defined.file, out: at('rebuilt') })
      expect(new Uint8Array(readFileSync(at('rebuilt')))).toEqual(bytes)
    }
  })

  it('comes closer to the trained one with every bit, and costs more', async () => {
    const { older, newer } = twoVersions('F32', 0.01)
    const [oldPath, newPath] = [put('older', older), put('newer', newer)]
    const rows: { error: number; bytes: number }[] = []
    for (const bits of [2, 3, 4, 5, 6, 7, 8]) {
      const { patch } = await defineByDelta({ oldPath, newPath, bits, out: at('defined'), patchOut: at('patch') })
      rows.push({ error: distance(at('defined'), newPath) / distance(oldPath, newPath), bytes: patch.bytes })
    }
    expect(rows[0]!.error).toBeLessThan(0.5)
    expect(rows[6]!.error).toBeLessThan(0.01)
    for (const [i, row] of rows.slice(1).entries()) {
      expect(row.error).toBeLessThan(rows[i]!.error)
      expect(row.bytes).toBeGreaterThan(rows[i]!.bytes)
    }
  })

  it('is these very bytes on every machine', async () => {
    const { older, newer } = twoVersions('BF16', 0.02, 9)
    const [oldPath, newPath] = [put('older', older), put('newer', newer)]
    const { file } = await defineByDelta({ oldPath, newPath, bits: 3, out: at('defined'), patchOut: at('patch') })
    expect(Buffer.from(file.sha256).toString('hex')).toBe(
      '7141654ae43d85bd2f03cdf57301acb44aad23e7cf44539e59bd2dcd94f583d7',
    )
  })

  it('takes whole what the older one lacks, and refuses what is no number', async () => {
    const { older } = twoVersions('F16', 0)
    const fresh = loraBytes({ tensors: [loraTensor('fresh', [32, 3], 'F16')] })
    const [oldPath, newPath] = [put('older', older), put('newer', fresh)]
    await defineByDelta({ oldPath, newPath, bits: 2, out: at('defined'), patchOut: at('patch') })
    expect(new Uint8Array(readFileSync(at('defined')))).toEqual(fresh)
    const broken = loraBytes({ tensors: [loraTensor('blk.0.attn_q.weight.lora_a', [64, 32], 'F16', () => NaN)] })
    const refused = defineByDelta({
      oldPath,
      newPath: put('broken', broken),
      bits: 2,
      out: at('d2'),
      patchOut: at('p2'),
    })
    expect(await codeOf(refused)).toBe('not-finite')
    expect(readdirSync(folder).toSorted()).toEqual(['broken', 'defined', 'newer', 'older', 'patch'])
  })
})

function distance(one: string, other: string): number {
  const [a, b] = [readAdapter(one).tensors, readAdapter(other).tensors]
  let sum = 0
  for (const [name, { values }] of a) {
    for (const [i, value] of values.entries()) sum += (value - b.get(name)!.values[i]!) ** 2
  }
  return Math.sqrt(sum)
}

/** A patch that is good, and what it takes to use it. */
async function aPatch(bits: number): Promise<{ oldPath: string; expected: FileFacts; patch: Uint8Array }> {
  const { older, newer } = twoVersions(bits === 0 ? 'BF16' : 'Q8_0', 0.01)
  const [oldPath, newPath] = [put('older', older), put('newer', newer)]
  if (bits === 0) {
    const { to } = await makePatch({ oldPath, newPath, out: at('patch') })
    return { oldPath, expected: to, patch: new Uint8Array(readFileSync(at('patch'))) }
  }
  const { file } = await defineByDelta({ oldPath, newPath, bits, out: at('defined'), patchOut: at('patch') })
  return { oldPath, expected: file, patch: new Uint8Array(readFileSync(at('patch'))) }
}

describe('a patch that is no good', () => {
  it.each([0, 2])(
    'because of any change (%i bits) makes an error or the right file, and nothing else',
    async (bits) => {
      const { oldPath, expected, patch } = await aPatch(bits)
      const changed = fc.oneof(
        fc.tuple(fc.nat(patch.length - 1), fc.integer({ min: 1, max: 255 })).map(([place, flip]) => {
          const mutant = patch.slice()
          mutant[place]! ^= flip
          return mutant
        }),
        fc.nat(patch.length - 1).map((length) => patch.slice(0, length)),
        fc.uint8Array({ minLength: 1, maxLength: 9 }).map((tail) => new Uint8Array([...patch, ...tail])),
        fc.tuple(fc.nat(patch.length - 4), fc.nat(0xffff_ffff)).map(([place, claim]) => {
          const mutant = patch.slice()
          new DataView(mutant.buffer).setUint32(place, claim, true)
          return mutant
        }),
      )
      await fc.assert(
        fc.asyncProperty(changed, async (mutant) => {
          rmSync(at('out'), { force: true })
          const code = await codeOf(applyPatch({ oldPath, patchPath: put('mutant', mutant), expected, out: at('out') }))
          if (code === 'done') expect(expected).toMatchObject(factsOf(new Uint8Array(readFileSync(at('out')))))
          else {
            expect(code).toMatch(/^(?:malformed|hash-mismatch|version-mismatch|too-large|gguf-malformed|not-finite)$/)
            expect(existsSync(at('out'))).toBe(false)
          }
        }),
        { numRuns: 200 },
      )
      expect(readdirSync(folder).filter((name) => /partial|rebuilt/.test(name))).toEqual([])
    },
  )

  /** The patch with its first stream replaced; without a header it begins after the preamble and two sizes. */
  function withFirstStream(patch: Uint8Array, stream: Uint8Array): Uint8Array {
    const mutant = new Uint8Array(104 + 4 + stream.length)
    mutant.set(patch.subarray(0, 104))
    new DataView(mutant.buffer).setUint32(104, stream.length, true)
    mutant.set(stream, 108)
    return mutant
  }

  it.each<[string, (patch: Uint8Array) => Uint8Array, string]>([
    ['a stream that unpacks to a gigabyte', (patch) => withFirstStream(patch, gigabyteOfZeros()), 'malformed'],
    [
      'a stream that unpacks to too little',
      (patch) => withFirstStream(patch, zstdCompressSync(new Uint8Array(7))),
      'malformed',
    ],
    ['a stream that takes 128 MiB to unpack', withWideFirstStream, 'malformed'],
    ['a stream that is not packed', (patch) => withFirstStream(patch, new Uint8Array(40).fill(7)), 'malformed'],
    ['a stream that claims more than it can need', (patch) => changedAt(patch, 104, 0x7fff_ffff), 'malformed'],
    ['a header that claims to be huge', (patch) => changedAt(patch, 96, 0x7fff_ffff), 'malformed'],
    ['a header that is none', (patch) => changedAt(patch, 96, 64), 'malformed'],
    ['bits that nobody uses', (patch) => changedAt(patch, 12, 9), 'malformed'],
    ['another version', (patch) => changedAt(patch, 8, 2), 'version-mismatch'],
    ['a size no adapter has', (patch) => changedAt(patch, 20, 2), 'too-large'],
    ['nothing in it', () => new Uint8Array(0), 'malformed'],
  ])('with %s is refused', async (_, spoil, code) => {
    const { oldPath, expected, patch } = await aPatch(0)
    expect(await codeOf(applyPatch({ oldPath, patchPath: put('bad', spoil(patch)), expected, out: at('out') }))).toBe(
      code,
    )
    expect(existsSync(at('out'))).toBe(false)
  })

  it('because it is for other files is refused before anything is written', async () => {
    const { oldPath, expected } = await aPatch(0)
    const apply = (job: { oldPath: string; expected: FileFacts }) =>
      codeOf(applyPatch({ ...job, patchPath: at('patch'), out: at('out') }))
    const other = put('other', twoVersions('BF16', 0, 5).older)
    expect(await apply({ oldPath: other, expected })).toBe('hash-mismatch')
    expect(await apply({ oldPath, expected: { ...expected, sha256: new Uint8Array(32) } })).toBe('hash-mismatch')
    expect(await apply({ oldPath, expected: { ...expected, bytes: 5 } })).toBe('hash-mismatch')
    expect(await apply({ oldPath: at('nowhere'), expected })).toBe('not-found')
    expect(existsSync(at('out'))).toBe(false)
  })

  it('because its scales are no numbers is refused, also where the file has blocks', async () => {
    const { oldPath, expected, patch } = await aPatch(8)
    const blocks = (4 * 64 * 32) / 64
    // The first two streams are the low and the high bytes of the scales: all ones is NaN.
    const packed = zstdCompressSync(new Uint8Array(blocks).fill(0xff))
    const spoiled = withFirstStream(patch, packed)
    const size = new Uint8Array(4)
    new DataView(size.buffer).setUint32(0, packed.length, true)
    const rest = patch.subarray(afterStreams(patch, 2))
    const bytes = new Uint8Array([...spoiled, ...size, ...packed, ...rest])
    expect(await codeOf(applyPatch({ oldPath, patchPath: put('bad', bytes), expected, out: at('out') }))).toBe(
      'not-finite',
    )
  })
})

/** Where the stream after `count` of them begins, in a patch without a header. */
function afterStreams(patch: Uint8Array, count: number): number {
  const view = new DataView(patch.buffer, patch.byteOffset)
  let place = 104
  for (let i = 0; i < count; i++) place += 4 + view.getUint32(place, true)
  return place
}

function changedAt(patch: Uint8Array, place: number, value: number): Uint8Array {
  const mutant = patch.slice()
  new DataView(mutant.buffer).setUint32(place, value, true)
  return mutant
}

/** The right bytes, in a frame that wants a window of 128 MiB (RFC 8878, 3.1.1.1: descriptor, window, no size; then the same blocks). */
function withWideFirstStream(patch: Uint8Array): Uint8Array {
  const end = afterStreams(patch, 1)
  const frame = patch.subarray(108, end)
  const sizeBytes = 2 ** (frame[4]! >>> 6)
  const wide = new Uint8Array([...frame.subarray(0, 4), 0, (27 - 10) << 3, ...frame.subarray(5 + sizeBytes)])
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, wide.length, true)
  return new Uint8Array([...patch.subarray(0, 104), ...size, ...wide, ...patch.subarray(end)])
}

/** A few dozen kilobytes long. */
function gigabyteOfZeros(): Uint8Array {
  const zeros = zstdCompressSync(new Uint8Array(2 ** 20))
  return new Uint8Array(Buffer.concat(Array<Uint8Array>(1_024).fill(zeros)))
}
