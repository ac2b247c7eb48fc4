// Every crafted file of the kit, judged before native code: eight of them kill the process that hands them to llama.cpp.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { validateAdapter } from './adapter-validator.ts'
import { inspectBase } from './base-info.ts'
import { openFileSource } from './byte-source.ts'
import { inspectFile } from './inspect.ts'

interface Crafted {
  readonly file: string
  readonly verdict: 'accept' | 'reject' | 'either'
  readonly reason: string
}

const expected = kit.present
  ? (JSON.parse(readFileSync(kit.path('hostile', 'gguf', 'expected.json'), 'utf8')) as {
      base: string
      files: Crafted[]
    })
  : { base: '', files: [] }

/** Where the kit leaves it open; written down so that the answer can't drift. */
const either: Record<string, string> = {
  'rank_over.gguf': 'accept',
  'key_badutf8.gguf': 'gguf-malformed',
  'alora_empty.gguf': 'gguf-refused',
  // The base repeats its embeddings as output.weight: a copy without the repetition is the same base, and would die of this file.
  'tokembd.gguf': 'gguf-refused',
}

/** Everything that isn't of one of the two general codes. */
const codes: Record<string, string> = {
  'arch_other.gguf': 'architecture-mismatch',
  'gqa_wrong.gguf': 'shape-mismatch',
  'in_wrong.gguf': 'shape-mismatch',
  'layer_5.gguf': 'shape-mismatch',
  'layer_99.gguf': 'shape-mismatch',
  'rank_mismatch.gguf': 'shape-mismatch',
  'tokembd_mismatch.gguf': 'shape-mismatch',
  'transposed.gguf': 'shape-mismatch',
  'weights_f16_inf.gguf': 'not-finite',
  'weights_nan.gguf': 'not-finite',
  'weights_one_inf_b.gguf': 'not-finite',
  'weights_one_nan.gguf': 'not-finite',
}

describe.skipIf(!kit.present)('crafted LoRA files (needs the kit)', () => {
  const basePath = kit.path(expected.base)

  async function verdictOf(file: string): Promise<string> {
    using source = openFileSource(kit.path('hostile', 'gguf', file))
    try {
      await validateAdapter(source, await inspectBase(basePath))
      return 'accept'
    } catch (error) {
      if (isMeshError(error)) return error.code
      throw error
    }
  }

  test('all 88 are here', () => {
    expect(expected.files).toHaveLength(88)
    expect(
      expected.files
        .filter(({ verdict }) => verdict === 'either')
        .map(({ file }) => file)
        .toSorted(),
    ).toEqual(Object.keys(either).toSorted())
  })

  test.each(expected.files)('$file is judged as it should: $verdict ($reason)', async ({ file, verdict }) => {
    const found = await verdictOf(file)
    if (verdict === 'accept') expect(found).toBe('accept')
    else if (verdict === 'either') expect(found).toBe(either[file])
    else if (file in codes) expect(found).toBe(codes[file])
    else expect(found).toMatch(/^gguf-(?:malformed|refused)$/)
    expect(await verdictOf(file)).toBe(found)

    const inspection = await inspectFile(kit.path('hostile', 'gguf', file), basePath)
    expect(inspection.ok).toBe(found === 'accept')
    expect(inspection.problems[0]?.code).toBe(found === 'accept' ? undefined : found)
    // Without a base it is no crash either, and never a base.
    expect((await inspectFile(kit.path('hostile', 'gguf', file))).kind).not.toBe('base')
  })

  test('refusing them all takes no memory by the sizes they claim', async () => {
    const base = await inspectBase(basePath)
    let read = 0
    for (const { file } of expected.files) {
      using source = openFileSource(kit.path('hostile', 'gguf', file))
      const counted = {
        size: source.size,
        read(offset: number, length: number) {
          read += length
          expect(length).toBeLessThanOrEqual(source.size)
          return source.read(offset, length)
        },
      }
      await validateAdapter(counted, base).catch((error: unknown) => expect(isMeshError(error)).toBe(true))
    }
    // 88 files of about 4 KB, each read at most a few times over.
    expect(read).toBeLessThan(2 ** 21)
  })
})
