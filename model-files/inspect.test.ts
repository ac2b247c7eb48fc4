import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { kit } from '../testing/kit.ts'
import { inspectFile } from './inspect.ts'
import { randomBaseBytes } from './random-model.ts'
import { loraBytes, loraPair } from './testing/lora-bytes.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-inspect-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

const base = file('base', randomBaseBytes({ name: 'a base' }))

describe('inspecting a file', () => {
  test('tells what a base is', async () => {
    expect(await inspectFile(base)).toMatchObject({
      kind: 'base',
      architecture: 'llama',
      baseId: expect.stringMatching(/^[0-9a-f]{64}$/),
      tokenizerId: expect.stringMatching(/^[0-9a-f]{64}$/),
      label: 'a base',
      tied: false,
      tensors: 21,
      ok: true,
      problems: [],
    })
  })

  test('tells what an adapter is, with and without its base', async () => {
    // The name is a lie: only the content counts.
    const path = file('base.gguf', loraBytes())
    const expected = {
      kind: 'adapter',
      architecture: 'llama',
      rank: 4,
      alpha: 8,
      targets: ['attn_q'],
      dtype: 'F32',
      tensors: 2,
      bytes: loraBytes().length,
      ok: true,
      problems: [],
    }
    expect(await inspectFile(path)).toEqual(expected)
    expect(await inspectFile(path, base)).toEqual(expected)
  })

  test('tells why an adapter does not fit a base', async () => {
    const path = file('other', loraBytes({ tensors: loraPair('blk.9.attn_q.weight') }))
    expect(await inspectFile(path)).toMatchObject({ ok: true })
    expect(await inspectFile(path, base)).toMatchObject({
      kind: 'adapter',
      ok: false,
      problems: [{ code: 'shape-mismatch', message: expect.stringContaining('blk.9.attn_q.weight') }],
    })
  })

  test.each([
    ['adapter', 'a broken adapter', loraBytes().subarray(0, -1)],
    ['adapter', 'an adapter broken after its metadata', loraBytes().subarray(0, 200)],
    ['adapter', 'an adapter that does not say so', loraBytes({ metadata: { 'general.type': undefined } })],
    [
      'adapter',
      'one broken before its tensors',
      loraBytes({ metadata: { 'general.type': undefined } }).subarray(0, 150),
    ],
    ['base', 'a broken base', randomBaseBytes().subarray(0, -4_000)],
    ['base', 'a base broken after its metadata', randomBaseBytes().subarray(0, 1_000)],
    ['adapter', 'something else', new TextEncoder().encode('<!doctype html>')],
    ['adapter', 'nothing', new Uint8Array(0)],
  ])('says %s for %s', async (kind, name, bytes) => {
    const found = await inspectFile(file(name, bytes))
    expect(found).toMatchObject({ kind, ok: false, bytes: bytes.length, tensors: expect.any(Number) })
    expect(found.problems).toHaveLength(1)
  })

  test('takes a file that is compared with a base for an adapter when it says nothing itself', async () => {
    expect(await inspectFile(file('empty', new Uint8Array(0)), base)).toMatchObject({ kind: 'adapter', ok: false })
  })

  test('says what it can of a base that the mesh cannot use', async () => {
    const bytes = randomBaseBytes()
    bytes.set(Buffer.from('gptxx'), Buffer.from(bytes).indexOf('llama'))
    expect(await inspectFile(file('gpt', bytes))).toMatchObject({
      kind: 'base',
      architecture: 'gptxx',
      tensors: 21,
      ok: false,
      problems: [{ code: 'architecture-not-supported' }],
    })
  })

  test('throws for what is no matter of content', async () => {
    await expect(inspectFile(join(folder, 'absent'))).rejects.toMatchObject({ code: 'not-found' })
    await expect(inspectFile(folder)).rejects.toMatchObject({ code: 'bad-input' })
    await expect(inspectFile(base, join(folder, 'absent'))).rejects.toMatchObject({ code: 'not-found' })
    await expect(inspectFile(base, file('adapter', loraBytes()))).rejects.toMatchObject({ code: 'gguf-refused' })
    await expect(inspectFile(base, undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted',
    })
  })
})

describe.skipIf(!kit.present)('the models of the kit (needs the kit)', () => {
  test.each(['stories260K', 'tiny-mistral', 'tiny-qwen2', 'tiny-gemma3', 'tiny-phi3'])('%s is fine', async (name) => {
    expect(await inspectFile(kit.path('models', `${name}.gguf`))).toMatchObject({
      kind: 'base',
      ok: true,
      problems: [],
    })
  })
})
