import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { toHex, verifyRecord } from '../protocol/index.ts'
import { Database } from './database.ts'
import type { LogKey } from './log-key.ts'
import { LogStore } from './log-store.ts'
import { readEntry } from './record-effects.ts'
import { anAuthor } from './testing/builders.ts'

const kills = 30
const program = fileURLToPath(new URL('testing/append-until-killed.ts', import.meta.url))
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

test(`of what was acknowledged before any of ${kills} kills nothing is lost, and nothing is there twice`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-crash-'))
  folders.push(folder)
  const path = join(folder, 'registry.sqlite')
  const author = anAuthor('alice')
  const key: LogKey = { scope: 'public', author: author.identity, device: author.device.publicKey }
  const acknowledged = new Map<number, string>()
  let next = 0
  for (let kill = 0; kill < kills; kill++) {
    // Each process is killed after another number of records, somewhere in the middle of the next one.
    for (const [n, id] of await appendAndKill(path, next, 1 + (kill % 7))) acknowledged.set(n, id)
    using database = new Database({ path })
    const store = new LogStore(database)
    const held = versionsIn(store, key)
    for (const [n, id] of acknowledged) expect(held.get(n)).toBe(id)
    // At most one record was on the disk and not acknowledged any more.
    expect(held.size - acknowledged.size).toBeLessThanOrEqual(kill + 1)
    next = Math.max(-1, ...held.keys()) + 1
    expect(held.size).toBe(next)
  }
  expect(acknowledged.size).toBeGreaterThanOrEqual(kills)
}, 300_000)

/** Version number -> record id; throws if the chain has a hole or a version is there twice. */
function versionsIn(store: LogStore, key: LogKey): Map<number, string> {
  const versions = new Map<number, string>()
  let previous: Uint8Array | undefined
  for (const stored of store.records(key, 0, store.summary(key)?.length ?? 0)) {
    const record = verifyRecord(stored)
    if (previous !== undefined) expect(toHex(record.fields.previous)).toBe(toHex(previous))
    previous = record.id
    const { effect } = readEntry(record)
    if (effect.kind !== 'release') continue
    const n = Number(effect.release.manifest.version.split('.')[2])
    expect(versions.has(n)).toBe(false)
    versions.set(n, toHex(record.id))
  }
  return versions
}

/** Runs the program until it acknowledged `count` records, kills it, and returns everything it acknowledged by then. */
async function appendAndKill(path: string, from: number, count: number): Promise<Map<number, string>> {
  const child = spawn(process.execPath, [program, path, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines = new Map<number, string>()
  for await (const line of createInterface(child.stdout)) {
    const [n, id] = line.split(' ')
    lines.set(Number(n), id!)
    if (lines.size === count) child.kill('SIGKILL')
  }
  const [, signal] = (await exited) as [number | null, string | null]
  expect(signal).toBe('SIGKILL')
  return lines
}
