// What this node saw of others and whom its user chose to trust, in reputation.json: written whole after each change, gone when deleted.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { MeshError } from '../../protocol/index.ts'
import { observedMax } from '../../registry/index.ts'
import type { Subject } from '../../registry/index.ts'
import { errorCode, unusable, writePrivateFile } from '../private-file.ts'

export const chosenMax = 256

const subject = z
  .string()
  .max(200)
  .refine((text): text is Subject => /^(?:identity|noise|tcp):./.test(text))
const amount = z.number().min(0)
const stored = z.strictObject({
  format: z.literal(1),
  chosen: z.array(subject).max(chosenMax),
  observed: z
    .array(
      z.strictObject({
        subject,
        day: z.int().min(0),
        goodBytes: amount,
        badBytes: amount,
        transfers: amount,
        seconds: amount,
        confirmed: amount,
        refuted: amount,
      }),
    )
    .max(observedMax),
})

export type KeptReputation = Omit<z.infer<typeof stored>, 'format'>

/** Nothing where there is no file. Throws `bad-config` for a damaged one, `storage-failed` for one that can't be read. */
export async function readReputation(path: string): Promise<KeptReputation> {
  try {
    return stored.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') return { chosen: [], observed: [] }
    if (code !== undefined) throw unusable(error, path)
    throw new MeshError(
      'bad-config',
      `${path} is damaged: delete it. What this node saw of its peers is then forgotten, and whom you trust.`,
      { path },
      { cause: error },
    )
  }
}

/** Throws `disk-full` or `storage-failed`. */
export async function writeReputation(path: string, { chosen, observed }: KeptReputation): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify({ format: 1, chosen, observed }, null, 1)}\n`)
}
