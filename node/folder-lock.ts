// One process per data folder. The lock is SQLite's exclusive lock on the file `lock`: the kernel drops it when the holder dies,
// however it dies, so a stale lock cannot exist and no process id is ever trusted. Who holds it stands beside it in `holder.json`,
// for people and for commands that want to talk to the holder.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { MeshError } from '../protocol/index.ts'
import { sqliteCode, storageError, writePrivateFile } from './private-file.ts'

const SQLITE_BUSY = 5
const SQLITE_NOTADB = 26
const NAMELESS_HOLDER_MS = 2_000
const POLL_MS = 20

const holderSchema = z.object({
  pid: z.int().positive(),
  command: z.string(),
  /** When the holder took the lock, ISO 8601. */
  since: z.string(),
  /** Where the holder answers; absent while it starts, or if it serves nobody. */
  url: z.string().optional(),
})
export type Holder = z.infer<typeof holderSchema>

export interface FolderLock extends AsyncDisposable {
  /** Tells others where this process answers. */
  announce(url: string): Promise<void>
}

/** Who a `data-folder-in-use` error names. */
export function holderOf(error: MeshError): Holder | undefined {
  return holderSchema.safeParse(error.details).data
}

/** Takes the lock or throws `data-folder-in-use` with the holder in its details. */
export async function acquireFolderLock(root: string, command: string, clock: () => number): Promise<FolderLock> {
  const database = await lockOrRefuse(root)
  const holderPath = join(root, 'holder.json')
  const holder: Holder = { pid: process.pid, command, since: new Date(clock()).toISOString() }
  try {
    await writePrivateFile(holderPath, JSON.stringify(holder))
  } catch (error) {
    database.close()
    throw error
  }
  let held = true
  return {
    announce: (url) => writePrivateFile(holderPath, JSON.stringify({ ...holder, url })),
    async [Symbol.asyncDispose]() {
      if (!held) return
      held = false
      // Before the lock goes: afterwards the file may already be the next holder's.
      await rm(holderPath, { force: true })
      database.close()
    },
  }
}

/** Between taking the lock and writing its name, and again while it leaves, a holder has no name: that moment is waited out. */
async function lockOrRefuse(root: string): Promise<DatabaseSync> {
  const deadline = performance.now() + NAMELESS_HOLDER_MS
  for (;;) {
    const database = lockFile(root)
    if (database !== 'busy') return database
    const holder = await readHolder(root)
    if (holder !== undefined || performance.now() > deadline) throw inUse(root, holder)
    await wait(POLL_MS)
  }
}

/** Undefined as well for a file left by a killed process: whoever holds the lock now is about to overwrite it. */
async function readHolder(root: string): Promise<Holder | undefined> {
  try {
    const holder = holderSchema.parse(JSON.parse(await readFile(join(root, 'holder.json'), 'utf8')))
    return isAlive(holder.pid) ? holder : undefined
  } catch {
    return undefined
  }
}

function lockFile(root: string): DatabaseSync | 'busy' {
  const path = join(root, 'lock')
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    database.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database?.close()
    if (sqliteCode(error) === SQLITE_BUSY) return 'busy'
    if (sqliteCode(error) === SQLITE_NOTADB)
      throw new MeshError('bad-config', `${path} is damaged: delete it, it holds nothing.`, { path }, { cause: error })
    throw storageError(error, path)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function inUse(root: string, holder: Holder | undefined): MeshError {
  const who =
    holder === undefined
      ? 'another process'
      : `process ${holder.pid} (lora-mesh ${holder.command}, since ${holder.since}${holder.url === undefined ? '' : `, answers at ${holder.url}`})`
  return new MeshError(
    'data-folder-in-use',
    `${root} is in use by ${who}: stop it, or choose another folder with --data.`,
    {
      path: root,
      ...holder,
    },
  )
}
