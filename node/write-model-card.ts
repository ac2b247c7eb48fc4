// Puts a model card beside the adapter it is about. It never takes the place of a file: a card that is there may be somebody's work.
import { stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode, storageError } from './private-file.ts'

const MAX_NAMES = 1_000

export interface CardPlace {
  /** The adapter: the card lies in its folder, or in it where it is a folder itself. */
  readonly path: string
  readonly name: string
  readonly version: string
}

/** The path of the new file: `<name>-<version>.md`, with a number if that is taken. Throws `disk-full`, `storage-failed`. */
export async function writeModelCard({ path, name, version }: CardPlace, card: string): Promise<string> {
  const folder = (await stat(path)).isDirectory() ? path : dirname(path)
  for (let copy = 1; ; copy++) {
    const file = join(folder, `${name}-${version}${copy === 1 ? '' : `-${copy}`}.md`)
    try {
      await writeFile(file, card, { flag: 'wx' })
      return file
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' || copy >= MAX_NAMES) throw storageError(error, file)
    }
  }
}
