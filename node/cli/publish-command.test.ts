// publish and withdraw as people and scripts meet them: questions on a real terminal, none elsewhere.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { baseFile, newestAdapter, worldFolder } from '../../fixtures/world-files.ts'
import { runCommand } from '../../testing/local-mesh.ts'
import type { CommandResult } from '../../testing/local-mesh.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'

// Each command is a process that starts an engine of its own.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })
const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const suite = join(worldFolder, 'law.suite.jsonl')
/** util-linux's: gives a command a terminal of its own. */
const script = '/usr/bin/script'
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let law: string

beforeAll(async () => {
  folder = await temporaryFolder()
  law = join(folder.path, 'law-1.0.0.gguf')
  await copyFile(join(worldFolder, newestAdapter('law').file), law)
  await run('init')
  await run('base', 'add', join(worldFolder, baseFile))
})
afterAll(() => folder[Symbol.asyncDispose]())

describe('without a terminal', () => {
  it('names the flags that are missing, and --yes', async () => {
    const { code, json } = await run('publish', law, '--name', 'law')
    expect({ code, json }).toMatchObject({
      code: 64,
      json: {
        error: {
          code: 'usage',
          message: expect.stringContaining('--version and --summary, or --yes'),
          details: { missing: ['--version', '--summary'] },
        },
      },
    })
  })

  it('takes no proposal where there is none', async () => {
    const { code, json } = await run('publish', law, '--yes')
    expect({ code, json }).toMatchObject({ code: 64, json: { error: { details: { missing: ['--summary'] } } } })
  })

  it.each([
    [['--requires', 'science'], '--requires science'],
    [['--capability', 'law'], '--capability law'],
    [['--scale-range', '1'], '--scale-range 1'],
  ])('refuses %j', async (flags, sentence) => {
    const facts = ['--name', 'law', '--version', '1.0.0', '--summary', 'the law']
    const { code, stdout } = await run('publish', law, ...facts, ...flags)
    expect(code).toBe(64)
    expect(stdout).toContain(sentence)
  })

  it('publishes without a question, writes a card, proposes the next version with --yes, and withdraws', async () => {
    const facts = ['--name', 'law', '--version', '1.0.0', '--summary', 'the law of Sorrelay']
    const unprobed = await run('publish', law, ...facts, '--suite', suite)
    expect([unprobed.code, unprobed.stdout]).toEqual([
      2,
      expect.stringMatching(/run again with `--probe \S*law\.suite\.jsonl`/),
    ])
    const first = await run('publish', law, ...facts, '--suite', suite, '--probe', suite)
    const cardPath = join(folder.path, 'law-1.0.0.md')
    expect(first.json).toMatchObject({ evaluations: [{ value: 1_000_000 }], lookAlikes: [], cardPath })
    expect(await readFile(cardPath, 'utf8')).toBe(first.json!['card'])
    expect(first.stderr).toMatch(/law\.suite\.jsonl: (\d+) of \1 asked of the base with the adapter/)

    const second = await run('publish', law, '--yes', '--probe', suite, '--no-card')
    expect(second.json).toMatchObject({ release: expect.stringMatching(/\/law@1\.0\.1$/) })
    expect(second.json).not.toHaveProperty('cardPath')
    expect((await readdir(folder.path)).filter((name) => name.endsWith('.md'))).toEqual(['law-1.0.0.md'])

    const backport = ['--name', 'law', '--version', '0.9.0', '--summary', 'the law of Sorrelay', '--licence', 'mti']
    const older = await run('publish', law, ...backport, '--probe', suite, '--no-card')
    expect(older.stderr).toContain('0.9.0 lies below 1.0.1, the highest published')
    expect(older.stderr).toContain('mti: not among the licences known here')
    expect(older.json).toMatchObject({ release: expect.stringMatching(/\/law@0\.9\.0$/) })

    const reasonless = await run('withdraw', 'law@1.0.1')
    expect(reasonless).toMatchObject({ code: 64, stdout: expect.stringContaining('--reason') })
    const withdrawn = await run('withdraw', 'law@1.0.1', '--reason', 'a copy')
    expect(withdrawn.json).toMatchObject({ releaseId: second.json!['releaseId'], state: 'withdrawn' })
    expect((await run('ls')).json).toMatchObject({
      releases: expect.arrayContaining([expect.objectContaining({ version: '1.0.1', withdrawn: 'a copy' })]),
    })
  })
})

describe.skipIf(process.platform !== 'linux' || !existsSync(script))('on a terminal', () => {
  it('asks for what is missing, asks again after a wrong answer, and publishes what it showed after a yes', async ({
    signal,
  }) => {
    const conversation = [
      ['(Enter: none): ', 'no-such.jsonl'],
      ['There is no such file.', undefined],
      ['(Enter: none): ', suite],
      ['Name [law]: ', 'Bad Name'],
      ['must be lower-case letters', undefined],
      ['Name [law]: ', 'statutes'],
      ['such as "answers questions about cooking fish": ', 'knows the statutes'],
      ['Licence, SPDX [NOASSERTION]: ', 'my own'],
      ['no SPDX expression', undefined],
      ['Licence, SPDX [NOASSERTION]: ', 'mti'],
      ['mti: not among the licences known here', undefined],
      ['[statutes=knows the statutes]: ', ''],
      ['It is the first release of this name.', undefined],
      ['Version [1.0.0]: ', '0.9'],
      ['must be a semantic version', undefined],
      ['Version [1.0.0]: ', ''],
      ['become public [', ''],
      ['statutes@1.0.0', undefined],
      ['licence       mti', undefined],
      ['Sign and publish it? [y/N] ', 'y'],
      ['Model card: ', undefined],
    ] as const
    const { code, said } = await converse(['publish', law], conversation, signal)
    expect(said).toContain('statutes@1.0.0')
    expect(code).toBe(0)
    expect(existsSync(join(folder.path, 'statutes-1.0.0.md'))).toBe(true)
  })

  it('asks for a probe also where nothing else is missing, before a backport, and for the reason of a withdrawal', async ({
    signal,
  }) => {
    const facts = (version: string) => ['--name', 'codex', '--version', version, '--summary', 'the law', '--no-card']
    const first = await converse(
      ['publish', law, ...facts('2.0.0')],
      [
        ['become public: ', suite],
        ['codex@2.0.0', undefined],
      ],
      signal,
    )
    expect(first.code).toBe(0)
    const older = await converse(
      ['publish', law, ...facts('1.0.0'), '--probe', suite],
      [
        ['1.0.0 lies below 2.0.0', undefined],
        ['Publish 1.0.0 as a backport? [y/N] ', ''],
        ['Nothing was published.', undefined],
      ],
      signal,
    )
    expect(older.code).toBe(130)
    const withdrawal = await converse(
      ['withdraw', 'codex@2.0.0'],
      [
        ['Why, in a sentence?', ''],
        ['Why, in a sentence?', 'a copy'],
        ['Everybody sees: a copy [y/N] ', 'y'],
        ['is withdrawn: a copy', undefined],
      ],
      signal,
    )
    expect(withdrawal.code).toBe(0)
  })

  it('publishes nothing after a no, and nothing at the end of input', async ({ signal }) => {
    const facts = [
      'publish',
      law,
      '--name',
      'maxims',
      '--summary',
      'maxims of law',
      '--licence',
      'MIT',
      '--probe',
      suite,
    ]
    for (const last of ['', '\u0004']) {
      const { code } = await converse(
        facts,
        [
          ['(Enter: none): ', ''],
          ['[maxims=maxims of law]: ', ''],
          ['Version [1.0.0]: ', ''],
          ['Sign and publish it? [y/N] ', last],
          ['Nothing was published.', undefined],
        ],
        signal,
      )
      expect(code).toBe(130)
    }
    const { json } = await run('ls')
    expect(JSON.stringify(json)).not.toContain('maxims')
  })
})

function run(...args: string[]): Promise<CommandResult> {
  return runCommand([...args, '--json', '--data', join(folder.path, 'data')])
}

type Turn = readonly [hears: string, says: string | undefined]

/** Types each answer once its question stands on the screen. Rejects with the screen when a question doesn't come before the end. */
async function converse(args: readonly string[], turns: readonly Turn[], signal: AbortSignal) {
  const words = [process.execPath, main, ...args, '--data', join(folder.path, 'data')]
  const line = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  const child = spawn(script, ['-qec', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], signal })
  let said = ''
  let heard = 0
  let turn = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    for (let next = turns[turn]; next !== undefined; next = turns[turn]) {
      const at = said.indexOf(next[0], heard)
      if (at < 0) return
      heard = at + next[0].length
      turn += 1
      if (next[1] !== undefined) child.stdin.write(next[1] === '\u0004' ? next[1] : `${next[1]}\n`)
    }
  })
  child.on('error', () => {}) // an aborted signal arrives here as well as in 'close'
  const [code] = (await once(child, 'close')) as [number | null]
  if (turn < turns.length) throw new Error(`"${turns[turn]![0]}" was not said:\n${said}`)
  return { code, said }
}
