// What somebody meets who has made an identity and a community, and little else, in processes as on their machine.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityToText } from '../../protocol/index.ts'
import { runCommand } from '../../testing/local-mesh.ts'
import type { CommandResult } from '../../testing/local-mesh.ts'
import { anAuthor } from '../../testing/objects.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
const run = (...words: string[]): Promise<CommandResult> => runCommand([...words, '--data', join(folder.path, 'data')])

beforeAll(async () => {
  folder = await temporaryFolder()
  await run('init')
}, 60_000)
afterAll(() => folder[Symbol.asyncDispose]())

test('the last admin who stops following is told that the role stays, and how to come back', async () => {
  const { json } = await run('community', 'create', 'kitchen', '--json')
  const kept = await run('community', 'leave')
  expect([kept.code, kept.stderr]).toEqual([2, expect.stringContaining('last admin stays')])
  const gone = await run('community', 'leave', '--unfollow')
  const link = String(json?.['link'])
  expect([gone.code, gone.stdout]).toEqual([
    0,
    `No longer followed. You are still its last admin. Come back with: lora-mesh community follow ${link}\n`,
  ])
  expect((await run('community', 'follow', link)).stdout).toContain('you are its admin')
}, 60_000)

test('of a member the first characters are enough to trust it, and to take that back', async () => {
  const member = identityToText(anAuthor(7).identity)
  await run('community', 'create', 'garden', '--member', `${member}=teacher`)
  expect((await run('peers', 'trust', member.slice(0, 8))).stdout).toContain(`Trusted: ${member}.`)
  const stranger = identityToText(anAuthor(8).identity).slice(0, 8)
  expect((await run('peers', 'trust', stranger, '--json')).json).toMatchObject({ error: { code: 'malformed' } })
  expect((await run('peers', 'distrust', member.slice(0, 8))).code).toBe(0)
  expect((await run('peers', '--explain', '--json')).json).toEqual({ standings: [] })
}, 60_000)

test('where nothing moves, update says so and why', async () => {
  const { code, stdout } = await run('update')
  expect([code, stdout]).toEqual([0, 'Nothing to move.\nEverything is as new as it may be.\n'])
}, 60_000)

test('a group word alone prints its commands and needs no node', async () => {
  const { code, stdout } = await runCommand(['community'])
  expect([code, stdout]).toEqual([0, expect.stringContaining('community follow')])
}, 60_000)
