import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { f32Tensor, safetensorsBytes } from '../testing/peft-folder.ts'
import { memorySource, type ByteSource } from './byte-source.ts'
import { readSafetensor, readSafetensors } from './safetensors.ts'

const tensors = { a: f32Tensor([2, 3], [1, 2, 3, 4, 5, 6]), b: f32Tensor([3, 2], [6, 5, 4, 3, 2, 1]) }
const valid = safetensorsBytes(tensors)
const read = (bytes: Uint8Array) => readSafetensors(memorySource(bytes))
const malformed = (problem: RegExp) =>
  expect.objectContaining({ code: 'safetensors-malformed', message: expect.stringMatching(problem) })
const changed = (entry: Record<string, unknown>) =>
  safetensorsBytes(tensors, (header) => ({ ...header, b: { ...(header['b'] as object), ...entry } }))

test('tensors come with their type, shape and bytes, in the order of their data', () => {
  const file = read(safetensorsBytes(tensors, ({ a, b, ...rest }) => ({ b, ...rest, a })))
  expect(file.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual([
    { name: 'a', dtype: 'F32', shape: [2, 3] },
    { name: 'b', dtype: 'F32', shape: [3, 2] },
  ])
  expect(file.tensors.map((tensor) => [...readSafetensor(file, tensor)])).toEqual([
    [...tensors.a.data],
    [...tensors.b.data],
  ])
})

describe('refused as malformed', () => {
  test.each([
    ['a data type that does not exist', changed({ dtype: 'F7' }), /not one of the format/],
    ['a shape that needs other bytes', changed({ shape: [3, 3] }), /takes 24 bytes where its shape/],
    ['a shape beyond all numbers', changed({ shape: [2 ** 52, 2 ** 52, 2 ** 52] }), /takes 24 bytes/],
    ['an empty tensor', safetensorsBytes({ a: f32Tensor([0, 4], []) }), /takes 0 bytes/],
    ['an unknown field', changed({ extra: 1 }), /nothing else/],
    ['offsets that run backwards', changed({ data_offsets: [48, 24] }), /begin and an end/],
    ['shared bytes', changed({ data_offsets: [0, 24] }), /overlaps/],
    ['a hole', changed({ data_offsets: [28, 52] }), /unused bytes/],
    ['bytes after the last tensor', Buffer.concat([valid, new Uint8Array(4)]), /4 bytes follow/],
    ['a cut file', valid.subarray(0, valid.length - 1), /tensors need/],
    ['a name with a line break', safetensorsBytes({ 'a\nb': tensors.a }), /plain text/],
    ['a name that is too long', safetensorsBytes({ ['x'.repeat(300)]: tensors.a }), /plain text/],
    [
      'metadata that is not text',
      safetensorsBytes(tensors, (header) => ({ ...header, __metadata__: { n: 5 } })),
      /__metadata__/,
    ],
    ['a header that is a list', safetensorsBytes(tensors, () => []), /not a JSON object/],
    [
      'a key given twice',
      Buffer.from(Buffer.from(valid).toString('latin1').replace('"b":', '"a":'), 'latin1'),
      /occurs twice/,
    ],
    ['no room for a header length', Uint8Array.of(1, 2, 3), /3 bytes/],
    ['a zip archive', Buffer.from('PK\x03\x04 and more'), /zip archive/],
    ['a pickle', Buffer.from([0x80, 0x02, 0x7d, 0x71, 0, 0, 0, 0, 0, 0]), /pickle/],
    ['a GGUF', Buffer.from('GGUF\x03\0\0\0\0\0\0\0'), /GGUF/],
  ])('%s', (_what, bytes, problem) => {
    expect(() => read(bytes)).toThrow(malformed(problem))
  })

  test('numbers that adapters are not made of, by name', () => {
    const refusal = expect.objectContaining({ code: 'peft-unsupported', details: { tensor: 'b', dtype: 'I32' } })
    expect(() => read(changed({ dtype: 'I32' }))).toThrow(refusal)
  })
})

test.each([0n, 2n ** 31n, 2n ** 63n, 2n ** 64n - 1n])(
  'a header that claims %d bytes is refused before anything of it is read',
  (length) => {
    const bytes = Uint8Array.from(valid)
    new DataView(bytes.buffer).setBigUint64(0, length, true)
    const reads: number[] = []
    const source: ByteSource = {
      size: 2 ** 30,
      read: (offset, count) => (reads.push(count), memorySource(bytes).read(offset, count)),
    }
    expect(() => readSafetensors(source)).toThrow(malformed(/header/))
    expect(Math.max(...reads)).toBeLessThanOrEqual(8)
  },
)

test('mutants are read or refused with a named error, and what is read covers the file exactly', () => {
  const edit = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) })
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat({ max: 8 }), (edits, cut) => {
      const bytes = Uint8Array.from(valid.subarray(0, valid.length - cut))
      for (const { at, byte } of edits) bytes[at % bytes.length] = byte
      try {
        const file = read(bytes)
        const data = file.tensors.reduce((sum, tensor) => sum + readSafetensor(file, tensor).length, 0)
        expect(file.tensors[0]?.offset ?? bytes.length).toBe(bytes.length - data)
      } catch (error) {
        if (!isMeshError(error)) throw error
      }
    }),
    { numRuns: 20_000 },
  )
})

interface HostileFile {
  readonly file: string
  readonly verdict: string
  readonly safetensors_library: string
}

describe.skipIf(!kit.present)('crafted files (needs the kit)', () => {
  const files: HostileFile[] = kit.present
    ? JSON.parse(readFileSync(kit.path('hostile/peft/expected.json'), 'utf8')).files
    : []

  test.each(files.filter(({ safetensors_library }) => safetensors_library.startsWith('refused')))(
    'what the reference reader refuses is refused here: $file',
    ({ file }) => {
      expect(() => read(readFileSync(kit.path('hostile/peft', file)))).toThrow(
        expect.objectContaining({ name: 'MeshError' }),
      )
    },
  )

  test.each(files.filter(({ verdict }) => verdict === 'accept'))('a valid file is read: $file', ({ file }) => {
    expect(read(readFileSync(kit.path('hostile/peft', file))).tensors).toHaveLength(4)
  })
})
