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

export function personaStore(folder: string): PersonaStore {
  const pathOf = (id: string): string => join(folder, id + SUFFIX)
  const load = async (id: string): Promise<Persona> => ({
    id,
    lockfile: parseLockfile(await readFile(pathOf(id), 'utf8')),
  })
  return {
    async save(lockfile) {
      const id = personaIdOf(lockfile)
      // Written again even if it is there: the newest file is the persona used last.
      await writePrivateFile(pathOf(id), lockfileText(lockfile))
      return { id, lockfile }
    },
    async get(name) {
      const ids = await newestFirst(folder)
      const found = name === undefined ? ids.slice(0, 1) : ids.filter((id) => id.startsWith(name))
      const [id] = found
      if (id === undefined) throw missing(name)
      if (found.length > 1)
        throw new MeshError('bad-input', `Several personas begin with ${name}: write more of the id.`, { ids: found })
      return load(id)
    },
    list: async () => Promise.all((await newestFirst(folder)).map(load)),
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

function missing(name: string | undefined): MeshError {
  return name === undefined
    ? new MeshError('not-found', 'There is no persona yet: make one with `lora-mesh request "..."`.')
    : new MeshError('not-found', `There is no persona ${name}: \`lora-mesh ls\` shows them.`, { name })
}
