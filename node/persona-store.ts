// Personas this node has: their lockfiles by id, and which one was made last.
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '../protocol/index.ts'
import { lockfileText, parseLockfile, personaIdOf } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { errorCode, writePrivateFile } from './private-file.ts'

export interface Persona {
  /** First 12 hex digits of the lockfile's digest. */
  readonly id: string
  readonly lockfile: Lockfile
}

export interface PersonaStore {
  save(lockfile: Lockfile): Promise<Persona>
  /** By its id or the first digits of it; without a name the one saved last. Throws `not-found`. */
  get(name: string | undefined): Promise<Persona>
  /** The one saved last comes first. */
  list(): Promise<readonly Persona[]>
}

const SUFFIX = '.lock.json'

/** What is damaged is left out of lists, and told. */
export function personaStore(folder: string, tell: (line: string) => void): PersonaStore {
  const pathOf = (id: string): string => join(folder, id + SUFFIX)
  const load = async (id: string): Promise<Persona> => {
    const text = await readFile(pathOf(id), 'utf8')
    try {
      const lockfile = parseLockfile(text)
      if (personaIdOf(lockfile) === id) return { id, lockfile }
    } catch (cause) {
      throw damaged(id, pathOf(id), cause)
    }
    throw damaged(id, pathOf(id), undefined)
  }
  /** One damaged file must not hide the others. */
  const loadAll = async (): Promise<Persona[]> => {
    const loaded = await Promise.allSettled((await newestFirst(folder)).map(load))
    return loaded.flatMap((one) => {
      if (one.status === 'fulfilled') return [one.value]
      tell(one.reason instanceof Error ? one.reason.message : String(one.reason))
      return []
    })
  }
  return {
    async save(lockfile) {
      const id = personaIdOf(lockfile)
      // Written again even if it is there: the newest file is the persona used last.
      await writePrivateFile(pathOf(id), lockfileText(lockfile))
      return { id, lockfile }
    },
    async get(name) {
      if (name === undefined) {
        const [newest] = await loadAll()
        if (newest === undefined) throw missing(name)
        return newest
      }
      const found = (await newestFirst(folder)).filter((id) => id.startsWith(name))
      const [id] = found
      if (id === undefined) throw missing(name)
      if (found.length > 1)
        throw new MeshError('bad-input', `Several personas begin with ${name}: write more of the id.`, { ids: found })
      return load(id)
    },
    list: loadAll,
  }
}

async function newestFirst(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(SUFFIX))
  const dated = await Promise.all(names.map(async (name) => ({ name, at: await modifiedMs(join(folder, name)) })))
  return dated
    .toSorted((a, b) => b.at - a.at || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name.slice(0, -SUFFIX.length))
}

async function modifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0
    throw error
  }
}

function damaged(id: string, path: string, cause: unknown): MeshError {
  return new MeshError(
    'bad-config',
    `The persona ${id} is damaged: delete ${path} and make the request again.`,
    { path },
    { cause },
  )
}

function missing(name: string | undefined): MeshError {
  return name === undefined
    ? new MeshError('not-found', 'There is no persona yet: make one with `lora-mesh request "..."`.')
    : new MeshError('not-found', `There is no persona ${name}: \`lora-mesh ls\` shows them.`, { name })
}
