// `import` and `export` as scripts call them, on a base and an adapter made of random numbers.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inspectBase, randomAdapter, randomBase } from '../../model-files/index.ts'
import { runCommand } from '../../testing/local-mesh.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'

test('a file exported and imported again is the same file; the base is named by its own name or the one given', async () => {
  await using folder = await temporaryFolder()
  const at = (name: string): string => join(folder.path, name)
  await randomBase({ architecture: 'qwen3', headSize: 32, kvHeads: 2, name: 'random qwen' }, at('base.gguf'))
  await randomAdapter(await inspectBase(at('base.gguf')), { rank: 4 }, at('adapter.gguf'))
  const base = ['--base', at('base.gguf')]
  const exported = await runCommand(['export', at('adapter.gguf'), ...base, '--peft', at('peft'), '--json'])
  expect(exported).toMatchObject({
    code: 0,
    json: { peft: at('peft'), baseName: 'random qwen', rank: 4, modules: 14, bytes: expect.any(Number) },
  })
  const imported = await runCommand(['import', at('peft'), ...base, '-o', at('again.gguf'), '--json'])
  expect(imported).toMatchObject({ code: 0 })
  expect(readFileSync(at('again.gguf')).equals(readFileSync(at('adapter.gguf')))).toBe(true)
  const again = await runCommand(['export', at('adapter.gguf'), ...base, '--peft', at('peft'), '--json'])
  expect(again).toMatchObject({ code: 1, json: { error: { code: 'already-exists' } } })
  await runCommand(['export', at('adapter.gguf'), ...base, '--peft', at('named'), '--base-name', 'a/b'])
  const config = JSON.parse(readFileSync(at('named/adapter_config.json'), 'utf8')) as Record<string, unknown>
  expect(config['base_model_name_or_path']).toBe('a/b')
})

test('without base or folder it is a usage error, with a file that is no adapter a refusal', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'base.gguf')
  await randomBase({ layers: 1 }, path)
  expect(await runCommand(['export', path, '--json'])).toMatchObject({ code: 64 })
  const refused = await runCommand(['export', path, '--base', path, '--peft', join(folder.path, 'peft'), '--json'])
  expect(refused).toMatchObject({ code: 2, json: { error: { code: 'gguf-refused' } } })
  expect(existsSync(join(folder.path, 'peft'))).toBe(false)
})
