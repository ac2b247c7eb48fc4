// The audit trail as scripts call it, on a real data folder.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommand } from '../../testing/local-mesh.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'

test('what was done is shown, exported, and checked without a node; a changed line is named', async () => {
  await using folder = await temporaryFolder()
  const data = join(folder.path, 'data')
  const file = join(folder.path, 'kitchen.jsonl')
  const run = (...words: string[]) => runCommand([...words, '--data', data])
  const { stdout: identity } = await run('init', '--json')
  await run('community', 'create', 'kitchen')
  await run('propose', 'rule', '--rule', 'consensus', '--vote', 'yes')

  const shown = await run('log', '--json', '--by', 'you')
  expect(shown.json).toMatchObject({
    older: 0,
    entries: [
      { type: 'log', own: true, scope: 'community' },
      { type: 'proposal', said: { action: { kind: 'rule' } } },
      { type: 'ballot', said: { choice: 'yes', action: { kind: 'rule' } } },
      { type: 'certificate', delegates: 1, decision: { position: 0, outcome: 'accepted', count: { yes: 1 } } },
    ],
  })
  const one = await run('log', '--type', 'ballot', '--about', 'no-such-thing')
  expect([one.code, one.stdout]).toEqual([0, 'Nothing fits.\n'])
  const mistyped = await run('log', '--type', 'ballt', '--json')
  expect([mistyped.code, mistyped.stdout]).toEqual([64, expect.stringContaining('Did you mean ballot?')])
  expect((await run('log', '--since', 'yesterday', '--json')).code).toBe(64)

  expect((await run('log', 'export', file, '--json')).json).toMatchObject({ file, lines: expect.any(Number) })
  expect((await run('log', 'export', file, '--json')).json).toMatchObject({ error: { code: 'already-exists' } })
  const printed = await run('log', 'export', '-')
  const text = await readFile(file, 'utf8')
  const bodies = (lines: string): string[] => lines.split('\n').slice(1, -2)
  expect(bodies(printed.stdout)).toEqual(bodies(text))

  const elsewhere = ['--data', join(folder.path, 'no-such-folder'), '--json']
  const verified = await runCommand(['log', 'verify', file, ...elsewhere])
  const stateHash = (await run('community', 'list', '--json')).json?.['communities']
  expect(verified).toMatchObject({ code: 0, json: { ok: true, name: 'kitchen', certificates: 1, forks: 0 } })
  expect(stateHash).toMatchObject([{ stateHash: verified.json?.['stateHash'] }])
  expect(identity).toContain(String(verified.json?.['exportedBy']))

  await writeFile(file, text.split('\n').toSpliced(3, 1).join('\n'))
  const broken = await runCommand(['log', 'verify', file, ...elsewhere])
  expect(broken).toMatchObject({ code: 1, json: { ok: false, line: 4, why: expect.stringContaining('is missing') } })
  expect((await runCommand(['log', 'verify', join(folder.path, 'absent'), ...elsewhere])).json).toMatchObject({
    error: { code: 'not-found' },
  })
}, 120_000)
