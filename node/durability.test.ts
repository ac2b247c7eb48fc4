// Nothing that was acknowledged is lost: small runs of `bench/crash.ts`.
import { describe, expect, test } from 'vitest'
import { killNode } from '../bench/crash/kill-node.ts'
import { killVillage } from '../bench/crash/kill-registries.ts'
import { readTrace, traceStatements, unsynced, whyNoTrace } from '../bench/crash/trace.ts'

const kills = 20
const nodeKills = 2
const why = whyNoTrace()

test(`two admins that publish, propose, vote and settle are killed ${kills} times: all they told of is there, once`, async () => {
  const toll = await killVillage(kills, 1)
  expect(toll.problems).toEqual([])
  expect(toll.statements).toBeGreaterThan(kills)
  expect(toll.decisions).toBeGreaterThan(0)
}, 240_000)

test(`a node that is killed ${nodeKills} times while it answers still knows what it answered`, async () => {
  const toll = await killNode(nodeKills, 1)
  expect(toll.problems).toEqual([])
  expect(toll.answers).toBeGreaterThan(0)
}, 240_000)

describe.skipIf(why !== undefined)(`a process under strace${why === undefined ? '' : ` (not run: ${why})`}`, () => {
  const statements = 16
  // Of a decision both admins tell.
  const told = statements + 2

  test('tells of nothing that is not synced to the disk', async () => {
    expect(await traceStatements(statements)).toEqual({ told, problems: [] })
  }, 120_000)

  test('is found out when its database does not sync', async () => {
    const { problems } = await traceStatements(statements, { CRASH_WITHOUT_SYNC: '1' })
    expect(problems).toHaveLength(told)
    expect(problems[0]).toMatch(/statement 0 of alice was told of before .*alice\.sqlite-wal was synced/)
  }, 120_000)
})

describe('a trace', () => {
  const id = 'ab'.repeat(32)
  const line = `{"n":0,"who":"alice","type":"ballot/1","body":"","record":"${id}"}\n`
  const write = `7 pwrite64(22<${escaped('/d/alice.sqlite-wal')}>, "\\x00${escapedHex(id)}", 33, 0) = 33`
  const sync = `7 fsync(22<${escaped('/d/alice.sqlite-wal')}>) = 0`
  const tell = `7 write(1<${escaped('pipe:[9]')}>, "${escaped(line)}", ${line.length}) = ${line.length}`
  const problemsOf = (...lines: readonly string[]): readonly string[] =>
    unsynced(readTrace(lines.join('\n')), '/d').problems

  test('with a sync between the record and what tells of it is in order', () => {
    expect(problemsOf(write, sync, tell)).toEqual([])
    const [begun, ended] = ['7 fsync(22</d/alice.sqlite-wal> <unfinished ...>', '7 <... fsync resumed>) = 0']
    expect(problemsOf(write, begun, '8 fsync(3</d/other>) = 0', ended, tell)).toEqual([])
  })

  test.each([
    ['no sync', [write, tell], 'was synced'],
    ['a sync before the record', [sync, write, tell], 'was synced'],
    ['a sync afterwards', [write, tell, sync], 'was synced'],
    [
      'a sync that failed',
      [write, `7 fsync(22</d/alice.sqlite-wal>) = -1 EIO (Input/output error)`, tell],
      'was synced',
    ],
    ['a sync of another file', [write, '7 fsync(23</d/bob.sqlite-wal>) = 0', tell], 'was synced'],
    ['a sync that is not over', [write, '7 fsync(22</d/alice.sqlite-wal> <unfinished ...>', tell], 'was synced'],
    ['another record', [write.replaceAll('\\xab', '\\xac'), sync, tell], 'was written'],
  ])('with %s is not', (_what, lines, problem) => {
    expect(problemsOf(...lines)).toEqual([expect.stringContaining(problem)])
  })
})

function escaped(text: string): string {
  return escapedHex(Buffer.from(text).toString('hex'))
}

function escapedHex(hex: string): string {
  return hex.replaceAll(/../g, '\\x$&')
}
