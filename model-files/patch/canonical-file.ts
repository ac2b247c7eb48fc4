// A rebuilt file is written by our own writer, so only a file that looks as if it were written by it can be rebuilt.
import { bytesEqual, MeshError } from '../../protocol/index.ts'
import { padTo } from '../gguf-format.ts'
import type { GgufFile } from '../gguf-format.ts'
import { encodeGgufHeader } from '../gguf-writer.ts'
import { headerOf } from './patch-file.ts'

/** Throws `gguf-refused` unless writing the file again gives the same bytes. */
export function requireCanonical(file: GgufFile): void {
  const { source, dataOffset, alignment, tensors } = file
  const paddings = tensors.map(({ offset, bytes }) => {
    const end = dataOffset + offset + bytes
    return source.read(end, dataOffset + padTo(offset + bytes, alignment) - end)
  })
  if (
    bytesEqual(encodeGgufHeader(file), headerOf(file)) &&
    paddings.every((bytes) => bytes.every((byte) => byte === 0))
  ) {
    return
  }
  throw new MeshError(
    'gguf-refused',
    'This adapter file has bytes between its parts that mean nothing, so no patch can lead to it. Import it again.',
  )
}
