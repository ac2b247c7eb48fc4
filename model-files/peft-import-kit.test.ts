// Importing held against what PEFT itself computes from the kit's real adapters, and against its crafted folders.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isMeshError } from '../protocol/index.ts'
import { adaptersOfBases, kitAdapters } from '../testing/kit-adapters.ts'
import { kit } from '../testing/kit.ts'
import { validateAdapter } from './adapter-validator.ts'
import { inspectBase, type BaseInfo } from './base-info.ts'
import { openFileSource } from './byte-source.ts'
import { convertPeft } from './peft-import.ts'
import { readAdapter, updateOf } from './testing/read-adapter.ts'

const temporaryFolder = () => mkdtempDisposable(join(tmpdir(), 'lora-mesh-peft-'))

interface Fingerprint {
  readonly gguf: string
  readonly shape: readonly [number, number]
  readonly r: number
  readonly frobenius: number
  readonly gguf_layout: { row0: number[]; row1: number[]; row5: number[]; weighted_sum: number }
}

function expectClose(actual: number, expected: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-4 * Math.abs(expected) + 1e-6)
}

describe.skipIf(!kit.present)('real adapters (needs the kit)', () => {
  const baseOf = (adapter: string): Promise<BaseInfo> => {
    const { base: name } = JSON.parse(readFileSync(kit.path('adapters', adapter, 'expected.json'), 'utf8')) as {
      base?: string
    }
    return inspectBase(kit.path('models', `${name ?? 'stories260K'}.gguf`))
  }

  test.each(kitAdapters.map(({ adapter }) => adapter))(
    'the update of every module of %s is the one that PEFT computes',
    async (adapter) => {
      await using folder = await temporaryFolder()
      const out = join(folder.path, 'out.gguf')
      const base = await baseOf(adapter)
      const result = await convertPeft({ dir: kit.path('adapters', adapter), base, out })
      using source = openFileSource(out)
      const info = await validateAdapter(source, base)
      expect(info).toMatchObject({
        rank: result.rank,
        alpha: result.alpha,
        targets: result.targets,
        bytes: result.bytes,
      })
      const file = readAdapter(out)
      const expected = JSON.parse(readFileSync(kit.path('adapters', adapter, 'expected.json'), 'utf8')) as {
        modules: Record<string, Fingerprint>
      }
      expect(info.pairs.map(({ target }) => target).toSorted()).toEqual(
        Object.values(expected.modules)
          .map(({ gguf }) => gguf)
          .toSorted(),
      )
      for (const { gguf, r, frobenius, gguf_layout } of Object.values(expected.modules)) {
        const { values: update, rows } = updateOf(file, gguf)!
        const columns = update.length / rows
        expect(info.pairs.find(({ target }) => target === gguf)?.rank).toBe(r)
        let squares = 0
        let weighted = 0
        for (const [index, value] of update.entries()) {
          squares += value * value
          weighted += value * ((Math.floor(index / columns) % 7) + 1) * (((index % columns) % 5) + 1)
        }
        expectClose(Math.sqrt(squares), frobenius)
        expectClose(weighted, gguf_layout.weighted_sum)
        for (const [row, values] of [
          [0, gguf_layout.row0],
          [1, gguf_layout.row1],
          [5, gguf_layout.row5],
        ] as const) {
          for (const [column, value] of values.entries()) expectClose(update[row * columns + column]!, value)
        }
      }
    },
  )

  test.each([
    ['peft-dora', /use_dora/],
    ['peft-seqcls', /task_type/],
  ])('%s is refused by name', async (adapter, reason) => {
    await using folder = await temporaryFolder()
    const base = await inspectBase(kit.path('models/stories260K.gguf'))
    const conversion = convertPeft({ dir: kit.path('adapters', adapter), base, out: join(folder.path, 'out.gguf') })
    await expect(conversion).rejects.toThrow(
      expect.objectContaining({ code: 'peft-unsupported', message: expect.stringMatching(reason) }),
    )
    expect(readdirSync(folder.path)).toEqual([])
  })

  test.each(Object.keys(adaptersOfBases))('adapters of other bases are refused on %s', async (baseName) => {
    await using folder = await temporaryFolder()
    const base = await inspectBase(kit.path('models', `${baseName}.gguf`))
    // Adapted q and v alone fit any base of the same width and heads: there only the probe of a release can tell.
    const others = kitAdapters.filter((row) => row.base !== baseName && row.adapter !== 'peft-qwen2-qv-rslora')
    for (const { adapter } of others) {
      const conversion = convertPeft({ dir: kit.path('adapters', adapter), base, out: join(folder.path, 'out.gguf') })
      const code = expect.stringMatching(/^(?:architecture|shape)-mismatch$/)
      await expect(conversion, adapter).rejects.toMatchObject({ code })
    }
    expect(readdirSync(folder.path)).toEqual([])
  })
})

interface Judged {
  readonly verdict: 'accept' | 'reject' | 'either'
}

interface Crafted {
  readonly config_for_the_files: Record<string, unknown>
  readonly weights_for_the_configs: string
  readonly files: readonly (Judged & { readonly file: string })[]
  readonly configs: readonly (Judged & { readonly name: string; readonly adapter_config_text: string })[]
}

const stories = kit.present ? await inspectBase(kit.path('models/stories260K.gguf')) : undefined

describe.skipIf(!kit.present)('crafted folders are judged as they should be (needs the kit)', () => {
  const crafted: Crafted = kit.present
    ? JSON.parse(readFileSync(kit.path('hostile/peft/expected.json'), 'utf8'))
    : { config_for_the_files: {}, weights_for_the_configs: '', files: [], configs: [] }

  async function judge(config: string, weights: string): Promise<'accept' | 'reject'> {
    await using folder = await temporaryFolder()
    const dir = join(folder.path, 'peft')
    await mkdir(dir)
    await writeFile(join(dir, 'adapter_config.json'), config)
    await copyFile(kit.path('hostile/peft', weights), join(dir, 'adapter_model.safetensors'))
    const out = join(folder.path, 'out.gguf')
    try {
      await convertPeft({ dir, base: stories!, out })
    } catch (error) {
      if (!isMeshError(error)) throw error
      expect(readdirSync(folder.path)).toEqual(['peft'])
      return 'reject'
    }
    expect(existsSync(out)).toBe(true)
    using source = openFileSource(out)
    await validateAdapter(source, stories)
    return 'accept'
  }

  test('all of them are there', () => {
    expect([crafted.files.length, crafted.configs.length]).toEqual([40, 23])
  })

  test.each(crafted.files)('$file: $verdict', async ({ file, verdict }) => {
    const judged = await judge(JSON.stringify(crafted.config_for_the_files), file)
    expect(verdict === 'either' ? 'either' : judged).toBe(verdict)
  })

  test.each(crafted.configs)('config $name: $verdict', async ({ adapter_config_text, verdict }) => {
    const judged = await judge(adapter_config_text, crafted.weights_for_the_configs)
    expect(verdict === 'either' ? 'either' : judged).toBe(verdict)
  })
})
