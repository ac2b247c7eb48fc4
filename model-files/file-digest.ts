// SHA-256 of files of any size: read ahead in pieces, so that neither memory nor the event loop notices.
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { MeshError } from '../protocol/index.ts'
import { letOthersRun } from './event-loop.ts'
import type { Cancellable } from './event-loop.ts'

export interface DigestProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
}

export interface DigestOptions extends Cancellable {
  readonly onProgress?: ((progress: DigestProgress) => void) | undefined
}

const pieceBytes = 2 ** 20

/** 32 bytes. Throws `not-found`, `bad-input` or `aborted`. */
export async function sha256File(path: string, options: DigestOptions = {}): Promise<Uint8Array> {
  await using file = await openToRead(path)
  const bytesTotal = (await file.stat()).size
  const hash = createHash('sha256')
  const piece = new Uint8Array(pieceBytes)
  let bytesDone = 0
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, pieceBytes, bytesDone)
    if (bytesRead === 0) return new Uint8Array(hash.digest())
    hash.update(piece.subarray(0, bytesRead))
    bytesDone += bytesRead
    options.onProgress?.({ bytesDone, bytesTotal })
    await letOthersRun(options)
  }
}

async function openToRead(path: string): ReturnType<typeof open> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new MeshError('not-found', `There is no file ${path}.`, { path }, { cause })
    }
    throw new MeshError(
      'bad-input',
      `The file ${path} can't be read (${code ?? 'unknown reason'}).`,
      { path },
      { cause },
    )
  }
}
