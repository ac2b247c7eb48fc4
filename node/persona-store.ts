// Personas this node has: their lockfiles by id, what is known beside them, and which one was made last. Lockfiles are only ever added:
// a persona that floats gets another one, and a note that says where it went.
import { readFile, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, isMeshError } from '../protocol/index.ts'
import { lockfileText, parseLockfile, personaIdOf } from '../resolver/index.ts'
import type { Lockfile } from '../resolver/index.ts'
import { readNote, unknownNote, writeNote } from './persona-note.ts'
import type { PersonaNote } from './persona-note.ts'
import { errorCode, writePrivateFile } from './private-file.ts'

export interface Persona {
  /** First 12 hex digits of the lockfile's digest. */
  readonly id: string
  readonly lockfile: Lockfile
  readonly note: PersonaNote
}

/** What a maker says of a new persona. */
export type PersonaOrigin = Omit<PersonaNote, 'format' | 'successor' | 'predecessor'>

export interface DamagedPersona {
  readonly id: string
  readonly message: string
}

export interface PersonaStore {
  /** Keeps what a user made, which becomes the one made last; what was said of the same lockfile before is replaced. */
  save(lockfile: Lockfile, origin: PersonaOrigin): Promise<Persona>
  /** Leads a floating persona on to another lockfile, which floats too if it is new here. The one made last stays that. */
  move(from: Persona, to: Lockfile): Promise<Persona>
  /** By its id or the first digits of it; without a name the one made last, as it is now. Throws `not-found`. */
  get(name: string | undefined): Promise<Persona>
  /** Where a persona has floated to; itself when it stays or nothing has changed. */
  latestOf(persona: Persona): Promise<Persona>
  /** The one made last comes first. */
  list(): Promise<readonly Persona[]>
  /** The same, with what can't be read. */
  survey(): Promise<{ readonly personas: readonly Persona[]; readonly damaged: readonly DamagedPersona[] }>
}

const SUFFIX = '.lock.json'

/** What is damaged is left out of lists, and told. */
export function personaStore(folder: string, tell: (line: string) => void): PersonaStore {
  const pathOf = (id: string): string => join(folder, id + SUFFIX)
  const notePathOf = (id: string): string => join(folder, `${id}.json`)
  const noteOf = async (id: string): Promise<PersonaNote> => {
    const note = await readNote(notePathOf(id)).catch((error: unknown) => {
      if (!isMeshError(error, 'bad-config')) throw error
      tell(error.message)
      return undefined
    })
    return note ?? unknownNote
  }
  const load = async (id: string): Promise<Persona> => {
    const text = await readFile(pathOf(id), 'utf8')
    try {
      const lockfile = parseLockfile(text)
      if (personaIdOf(lockfile) === id) return { id, lockfile, note: await noteOf(id) }
    } catch (cause) {
      throw damaged(id, pathOf(id), cause)
    }
    throw damaged(id, pathOf(id), undefined)
  }
  const keep = async (lockfile: Lockfile, note: PersonaNote): Promise<Persona> => {
    const id = personaIdOf(lockfile)
    await writeNote(notePathOf(id), note)
    // Written again even if it is there: the newest file is the persona made last.
    await writePrivateFile(pathOf(id), lockfileText(lockfile))
    return { id, lockfile, note }
  }
  /** One damaged file must not hide the others. */
  const survey: PersonaStore['survey'] = async () => {
    const personas: Persona[] = []
    const broken: DamagedPersona[] = []
    for (const id of await newestFirst(folder)) {
      try {
        personas.push(await load(id))
      } catch (error) {
        broken.push({ id, message: error instanceof Error ? error.message : String(error) })
      }
    }
    return { personas, damaged: broken }
  }
  const store: PersonaStore = {
    save: (lockfile, origin) => keep(lockfile, { format: 'lora-mesh-persona/1', ...origin }),
    async move(from, to) {
      const id = personaIdOf(to)
      const known = await load(id).catch(() => undefined)
      if (known === undefined) {
        const { successor: _none, ...note } = from.note
        await keep(to, { ...note, predecessor: from.id })
        const { atime, mtime } = await stat(pathOf(from.id))
        await utimes(pathOf(id), atime, mtime)
      }
      const { successor: _old, ...note } = from.note
      // A roll-back leads to where a persona began.
      await writeNote(notePathOf(from.id), id === from.id ? note : { ...note, successor: id })
      return load(id)
    },
    async get(name) {
      if (name === undefined) {
        const [newest] = await store.list()
        if (newest === undefined) throw missing(name)
        return store.latestOf(newest)
      }
      const found = (await newestFirst(folder)).filter((id) => id.startsWith(name))
      const [id] = found
      if (id === undefined) throw missing(name)
      if (found.length > 1)
        throw new MeshError('bad-input', `Several personas begin with ${name}: write more of the id.`, { ids: found })
      return load(id)
    },
    async latestOf(persona) {
      const { follows, successor } = persona.note
      return follows === 'float' && successor !== undefined ? load(successor) : persona
    },
    async list() {
      const { personas, damaged: broken } = await survey()
      for (const { message } of broken) tell(message)
      return personas
    },
    survey,
  }
  return store
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
