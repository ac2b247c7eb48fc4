// What a node knows of a persona beside its lockfile: whether it follows its community's upgrades, and where that has led. Kept outside
// the lockfile, whose digest is the persona's id: the same lockfile may float on one node and stay on another. Private, as requests are.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { MeshError, isMeshError } from '../protocol/index.ts'
import { requestMaxChars } from '../resolver/index.ts'
import { errorCode, unusable, writePrivateFile } from './private-file.ts'

const personaId = z.string().regex(/^[0-9a-f]{12}$/)

const noteSchema = z.strictObject({
  format: z.literal('lora-mesh-persona/1'),
  /** `float`: goes on to a newer lockfile when what its names mean changes. `stay`: never. */
  follows: z.enum(['float', 'stay']),
  madeAt: z.int().min(0),
  /** What it was made for; its version ranges bind every later move. Absent when it came from elsewhere. */
  request: z.string().max(requestMaxChars).optional(),
  /** Publishers (identity texts) that counted as members when it was made: an audit tells who has left since. */
  memberPublishers: z.array(z.string().max(64)).max(64).optional(),
  /** Where floating has led, however many moves it took. Absent: this lockfile is still the newest. */
  successor: personaId.optional(),
  /** Which persona moved here first. Absent: a user made it. */
  predecessor: personaId.optional(),
})

export type PersonaNote = z.infer<typeof noteSchema>

/** A lockfile without a note, or with a damaged one, stays: nobody said that it may move. */
export const unknownNote: PersonaNote = { format: 'lora-mesh-persona/1', follows: 'stay', madeAt: 0 }

/** Undefined when there is none. Throws `bad-config` for a damaged one. */
export async function readNote(path: string): Promise<PersonaNote | undefined> {
  try {
    return noteSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined
    if (errorCode(cause) !== undefined && !isMeshError(cause)) throw unusable(cause, path)
    const message = `${path} is damaged, so this persona stays as it is: delete the file, or make the request again.`
    throw new MeshError('bad-config', message, { path }, { cause })
  }
}

export async function writeNote(path: string, note: PersonaNote): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify(noteSchema.parse(note), null, 2)}\n`)
}
