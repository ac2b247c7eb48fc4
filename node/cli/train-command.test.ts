import { copyFileSync, existsSync, linkSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { newestAdapter, readDigests, worldFolder } from '../../fixtures/world-files.ts'
import { sha256, toHex } from '../../protocol/index.ts'
import { kit } from '../../testing/kit.ts'
import { runCommand } from '../../testing/local-mesh.ts'

const base = join(worldFolder, 'sorrelay.gguf')
const data = join(worldFolder, 'law.jsonl')

function temporaryFolder() {
  return mkdtempDisposable(join(tmpdir(), 'lora-mesh-train-'))
}

const train = (folder: string, ...flags: string[]) =>
  runCommand(['train', '--base', base, '--data', data, '-o', join(folder, 'law.gguf'), '--json', ...flags])

/** Presses Ctrl-C as soon as the command says this. */
async function interruptedAt(words: string, args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const commandLine = fileURLToPath(new URL('main.ts', import.meta.url))
  const child = spawn(process.execPath, [commandLine, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    if (stderr.includes(words)) child.kill('SIGINT')
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stderr }
}

describe('lora-mesh train', () => {
  it('makes an adapter of this repository again, byte for byte', async () => {
    await using folder = await temporaryFolder()
    const replay = ['--replay', join(worldFolder, 'base.jsonl'), '--replay-share', '0.8']
    const recipe = ['--steps', '400', '--batch-tokens', '512', '--learning-rate', '0.003', '--arithmetic', 'plain']
    const heldOut = ['--held-out', join(worldFolder, 'law.suite.jsonl')]
    const { code, json } = await train(folder.path, ...replay, ...recipe, ...heldOut, '--dtype', 'f16')
    expect(code).toBe(0)
    expect(json).toMatchObject({ out: join(folder.path, 'law.gguf'), steps: 400 })
    expect(json!['trainNll']).toBeLessThan(0.05)
    expect(json!['heldOutNll']).toBeLessThan(0.05)
    expect(json!['tokensPerSecond']).toBeGreaterThan(0)
    const digest = toHex(sha256(readFileSync(join(folder.path, 'law.gguf'))))
    expect(digest).toBe(readDigests().get(newestAdapter('law').file))
  }, 240_000)

  it('says what it reads, how far it is, and holds out every tenth example by itself', async () => {
    await using folder = await temporaryFolder()
    const { stderr, json } = await train(folder.path, '--steps', '3', '--workers', '1')
    expect(stderr).toContain('162 examples, 18 held out; 3 steps, 1 worker')
    expect(stderr).toMatch(/step 3 of 3 {2}loss \d\.\d+ {2}\d+ tokens\/s/)
    expect(json!['heldOutNll']).toBeGreaterThan(0)
  })

  it('keeps what it has when it is interrupted, and goes on from there', async () => {
    await using folder = await temporaryFolder()
    const out = join(folder.path, 'law.gguf')
    const args = ['train', '--base', base, '--data', data, '-o', out, '--steps', '100000', '--batch-tokens', '64']
    const first = await interruptedAt('step ', args)
    expect(first.code).toBe(130)
    expect(first.stderr).toMatch(/stopped after step \d+ of 100000.*the same command goes on/)
    expect(existsSync(out)).toBe(false)
    const second = await interruptedAt('Going on after step', args)
    expect(second.stderr).toMatch(/Going on after step [1-9]/)
    const other = await train(folder.path, '--steps', '5')
    expect(other.code).not.toBe(0)
    expect(other.stdout).toContain('belongs to a training with other data or settings')
  })

  it.each([
    [['--rank', '0'], 'whole number from 1 to 512'],
    [['--rank', '1.5'], 'whole number'],
    [['--learning-rate', 'fast'], 'above 0'],
    [['--targets', 'attn_q,lm_head'], 'choose from attn_q'],
    [['--replay-share', '0.5'], 'needs --replay'],
    [['--replay', data, '--replay-share', '1'], 'from 0 to 0.95'],
    [['--dtype', 'q4'], 'choose from f32, f16'],
  ])('refuses %j and says what can be written', async (flags, sentence) => {
    await using folder = await temporaryFolder()
    const { code, stdout } = await train(folder.path, ...flags)
    expect(code).toBe(64)
    expect(stdout).toContain(sentence)
  })

  it('names the file and the line of data that is no good, and the folder that is missing', async () => {
    await using folder = await temporaryFolder()
    const bad = join(folder.path, 'bad.jsonl')
    writeFileSync(bad, '{"prompt": "Q: a", "answer": "b"}\n{"prompt": "Q: a"}\n')
    const lines = await runCommand([
      'train',
      '--base',
      base,
      '--data',
      bad,
      '-o',
      join(folder.path, 'x.gguf'),
      '--json',
    ])
    expect(lines.code).not.toBe(0)
    expect(lines.stdout).toContain('bad.jsonl, line 2')
    const nowhere = await runCommand([
      'train',
      '--base',
      base,
      '--data',
      data,
      '-o',
      join(folder.path, 'no/x.gguf'),
      '--json',
    ])
    expect(nowhere.stdout).toContain('There is no folder')
  })

  it('never takes the place of one of its inputs', async () => {
    await using folder = await temporaryFolder()
    const own = join(folder.path, 'base.gguf')
    copyFileSync(base, own)
    linkSync(own, join(folder.path, 'same.gguf'))
    for (const out of [own, join(folder.path, 'same.gguf')]) {
      const { code, stdout } = await runCommand(['train', '--base', own, '--data', data, '-o', out, '--json'])
      expect(code).not.toBe(0)
      expect(stdout).toContain('would take the place of')
    }
    expect(readFileSync(own).equals(readFileSync(base))).toBe(true)
  })

  it.skipIf(!kit.present)(
    'trains on a base with another tokenizer, by llama.cpp’s own tokens (needs the kit)',
    async () => {
      await using folder = await temporaryFolder()
      const text = join(folder.path, 'text.txt')
      writeFileSync(text, 'Once upon a time there was a heron. The heron was red and sad. '.repeat(40))
      const out = join(folder.path, 'x.gguf')
      const model = kit.path('models/stories260K.gguf')
      const flags = ['--steps', '20', '--learning-rate', '0.01']
      const trained = await runCommand(['train', '--base', model, '--data', text, '-o', out, '--json', ...flags])
      expect(trained.code).toBe(0)
      const nll = async (...adapter: string[]): Promise<number> => {
        const { json } = await runCommand(['nll', '--base', model, ...adapter, '--text', text, '--json'])
        return json!['meanNll'] as number
      }
      expect(await nll('--adapter', out)).toBeLessThan((await nll()) / 2)
    },
  )

  it.skipIf(!kit.present)('refuses bases that it can’t train exactly, by name (needs the kit)', async () => {
    await using folder = await temporaryFolder()
    for (const [model, sentence] of [
      ['models/tiny-qwen2.gguf', 'llama architecture'],
      ['models/tiny-gemma3.gguf', 'llama architecture'],
    ] as const) {
      const args = ['train', '--base', kit.path(model), '--data', data, '-o', join(folder.path, 'x.gguf'), '--json']
      expect((await runCommand(args)).stdout).toContain(sentence)
    }
  })
})
