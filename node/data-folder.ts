// Where a node keeps what it owns on disk. One process holds the folder at a time; only its owner can read it.
import { chmod, mkdir, readFile, stat } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { MeshError, isMeshError } from '../protocol/index.ts'
import { acquireFolderLock } from './folder-lock.ts'
import type { FolderLock } from './folder-lock.ts'
import { errorCode, requirePrivate, storageError, unusable, writePrivateFile } from './private-file.ts'

export interface DataPaths {
  readonly root: string
  readonly config: string
  readonly keys: string
  readonly token: string
  /** There from `init` until the registry is made: the keys were made here, and have signed nothing elsewhere. */
  readonly newIdentity: string
  readonly registry: string
  readonly bases: string
  /** What was seen of others, and whom the user chose to trust. */
  readonly reputation: string
  /** Adapters by content: `<sha256>.gguf`. */
  readonly objects: string
  /** One folder per release held: its signed manifest and what seeding it needs. */
  readonly releases: string
  /** Unverified bytes, one folder per infohash. */
  readonly staging: string
  /** Baked adapters by stack hash. */
  readonly cache: string
  readonly personas: string
}

export interface DataFolder extends AsyncDisposable {
  readonly paths: DataPaths
  readonly lock: FolderLock
  /** The secret every call of the HTTP API carries. */
  readonly token: string
}

/** `--data`, else $LORA_MESH_DATA, else ~/.lora-mesh. */
export function chooseDataRoot(
  option: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const chosen = option ?? environment['LORA_MESH_DATA']
  return chosen === undefined || chosen === '' ? join(homedir(), '.lora-mesh') : resolve(chosen)
}

export function dataPaths(root: string): DataPaths {
  return {
    root,
    config: join(root, 'config.json'),
    keys: join(root, 'keys'),
    token: join(root, 'token'),
    newIdentity: join(root, 'new-identity'),
    registry: join(root, 'registry.sqlite'),
    bases: join(root, 'bases.json'),
    reputation: join(root, 'reputation.json'),
    objects: join(root, 'objects'),
    releases: join(root, 'releases'),
    staging: join(root, 'staging'),
    cache: join(root, 'cache'),
    personas: join(root, 'personas'),
  }
}

/** Creates what is missing, takes the lock, makes the token. Throws `data-folder-in-use`, `bad-config`, `storage-failed`. */
export async function openDataFolder(root: string, command: string, clock: () => number): Promise<DataFolder> {
  const paths = dataPaths(root)
  await makePrivateFolder(root)
  const lock = await acquireFolderLock(root, command, clock)
  try {
    for (const path of [paths.keys, paths.objects, paths.releases, paths.staging, paths.cache, paths.personas]) {
      await makePrivateFolder(path)
    }
    const token = (await readToken(root)) ?? (await createToken(paths.token))
    return { paths, lock, token, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() }
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

/** The token of a folder that another process holds; undefined if there is none. */
export async function readToken(root: string): Promise<string | undefined> {
  const path = join(root, 'token')
  try {
    await requirePrivate(path)
    const token = (await readFile(path, 'utf8')).trim()
    if (!/^[A-Za-z0-9_-]{43}$/.test(token)) {
      throw new MeshError('bad-config', `${path} holds no valid token: delete it, the node makes a new one.`, { path })
    }
    return token
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw isMeshError(error) ? error : unusable(error, path)
  }
}

async function createToken(path: string): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  await writePrivateFile(path, token)
  return token
}

async function makePrivateFolder(path: string): Promise<void> {
  try {
    await makeFolder(path)
    const facts = await stat(path)
    if (process.platform !== 'win32' && (facts.mode & 0o077) !== 0) await chmod(path, 0o700)
  } catch (error) {
    throw storageError(error, path)
  }
}

/** Not mkdir's `recursive`: below a folder that can't hold any, such as /proc, that tries again for ever. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (errorCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await mkdir(path, { mode: 0o700 })
  }
}
