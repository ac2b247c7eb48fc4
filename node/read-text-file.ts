// Text files that a user names on the command line.
import { readFile, stat } from 'node:fs/promises'
import { MeshError } from '../protocol/index.ts'
import { errorCode } from './private-file.ts'

const MAX_TEXT_BYTES = 64 * 1024 * 1024

/** Throws `not-found`, `bad-input`. */
export async function readTextFile(path: string): Promise<string> {
  try {
    const found = await stat(path)
    // A device or a pipe may never end.
    if (!found.isFile()) throw new MeshError('bad-input', `${path} is not a file.`, { path })
    const { size } = found
    if (size > MAX_TEXT_BYTES)
      throw new MeshError('bad-input', `${path} has ${size} bytes; at most ${MAX_TEXT_BYTES} are read.`, { path })
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (errorCode(error) === 'ENOENT')
      throw new MeshError('not-found', `There is no file ${path}.`, { path }, { cause: error })
    if (error instanceof TypeError)
      throw new MeshError('bad-input', `${path} is not a text in UTF-8.`, { path }, { cause: error })
    throw new MeshError(
      'bad-input',
      `The file ${path} cannot be read (${errorCode(error) ?? 'unknown reason'}).`,
      { path },
      { cause: error },
    )
  }
}
