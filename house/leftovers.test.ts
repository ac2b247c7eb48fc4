import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findProcesses } from './leftovers.ts'

const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-leftovers-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.skipIf(process.platform !== 'linux').each([
  ['its environment', { env: { LORA_MESH_CI_RUN: folder }, cwd: '/' }],
  ['the folder it works in', { env: {}, cwd: folder }],
])('a process that outlives a run is found by %s (needs Linux)', async (_, options) => {
  const child = spawn(process.execPath, ['--eval', 'process.stdin.resume()'], {
    ...options,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  await once(child, 'spawn')
  const pids = (): number[] => findProcesses(folder, process.pid).map(({ pid }) => pid)
  try {
    expect(pids()).toContain(child.pid)
  } finally {
    child.stdin.end()
    await once(child, 'close')
  }
  expect(pids()).not.toContain(child.pid)
})
