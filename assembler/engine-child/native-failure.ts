// llama.cpp says why it refuses a file in its log only; the exception says that it did. Both end up in one MeshError, without folders.
import { basename } from 'node:path'
import { InsufficientMemoryError } from 'node-llama-cpp'
import { isMeshError, MeshError } from '../../protocol/index.ts'
import type { MeshErrorCode } from '../../protocol/index.ts'
import { withoutFolders } from '../../supervisor/index.ts'

const keptLines = 20

export interface EngineLog {
  /** Warnings and errors, oldest first. */
  add(line: string): void
  /** What was said since the last call. */
  drain(): string[]
}

export function createEngineLog(): EngineLog {
  let lines: string[] = []
  return {
    add(line) {
      lines = [...lines.slice(1 - keptLines), line.trim().slice(0, 500)]
    },
    drain() {
      const said = lines
      lines = []
      return said
    },
  }
}

/** The refusal of one file: `gguf-refused` unless the machine, not the file, is to blame. */
export function refusalOf(path: string, error: unknown, log: EngineLog): MeshError {
  if (isMeshError(error)) return error
  const said = log.drain()
  const file = basename(path)
  if (error instanceof InsufficientMemoryError) {
    return new MeshError(
      'engine-failed',
      `Not enough memory for ${file}; close other programs or use a smaller file.`,
      { file },
    )
  }
  const code: MeshErrorCode = isMissing(error) ? 'not-found' : 'gguf-refused'
  const reason = withoutFolders(said[0] ?? (error instanceof Error ? error.message : String(error))).slice(0, 300)
  const sentence = code === 'not-found' ? `The file ${file} is not there.` : `The engine refuses ${file}: ${reason}`
  return new MeshError(code, sentence, { file, reason })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
