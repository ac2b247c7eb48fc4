// Older file + patch = newer file, to the last bit or not at all.
import { rename, rm } from 'node:fs/promises'
import { bytesEqual, MeshError } from '../../protocol/index.ts'
import { openFileSource } from '../byte-source.ts'
import type { ByteSource } from '../byte-source.ts'
import { sha256File } from '../file-digest.ts'
import type { GgufFile } from '../gguf-format.ts'
import { readGguf } from '../gguf-reader.ts'
import { writeGgufFile } from '../gguf-writer.ts'
import { patchChunks } from './patch-chunks.ts'
import type { PatchOptions } from './patch-chunks.ts'
import { headerOf } from './patch-file.ts'
import { malformed, PatchReader } from './patch-format.ts'
import type { FileFacts } from './patch-format.ts'
import { contentOf } from './rebuilt-content.ts'
import { storing } from './storing.ts'

export interface ApplyPatchJob {
  readonly oldPath: string
  readonly patchPath: string
  /** What the newer file has to be, from a source that is believed: its manifest. */
  readonly expected: FileFacts
  readonly out: string
}

/**
 * Writes the newer file in full or not at all. Throws `hash-mismatch` (the patch is for other files, or does not make the one it promises),
 * `malformed`, `version-mismatch`, `too-large`, `gguf-malformed` or `not-finite` for a patch that is no good; `aborted`, `disk-full`,
 * `storage-failed`, `not-found`.
 */
export async function applyPatch(job: ApplyPatchJob, options: PatchOptions = {}): Promise<FileFacts> {
  const { oldPath, patchPath, expected, out } = job
  using patchSource = openFileSource(patchPath)
  const patch = new PatchReader(patchSource)
  if (!isSame(patch.facts.to, expected)) throw mismatch('This patch makes another file than the one that is wanted.')
  using oldSource = openFileSource(oldPath)
  const found = { bytes: oldSource.size, sha256: await sha256File(oldPath, { signal: options.signal }) }
  if (!isSame(patch.facts.from, found)) throw mismatch('This patch is for another file than the one that is here.')
  const older = readGguf(oldSource, 'adapter')
  const newer = newerHeader(patch, older)
  const rebuilt = `${out}.rebuilt`
  return await storing(out, options, async () => {
    const content = contentOf(newer, rebuiltData(patch, older, newer, options))
    const written = await writeGgufFile(rebuilt, content, options.signal ? { signal: options.signal } : {})
    try {
      patch.end()
      if (!isSame(written, expected)) throw mismatch('This patch does not make the file that it promises.')
      await rename(rebuilt, out)
    } finally {
      await rm(rebuilt, { force: true })
    }
    return written
  })
}

function newerHeader(patch: PatchReader, older: GgufFile): GgufFile {
  const header = patch.header() ?? headerOf(older)
  const newer = readGguf(headerSource(header, patch.facts.to.bytes), 'adapter')
  if (newer.dataOffset !== header.length) throw malformed('its header ends elsewhere than it says')
  return newer
}

/** A file of which only the header is there. The reader looks ahead by a window, in which nothing is to be found. */
function headerSource(header: Uint8Array, size: number): ByteSource {
  return {
    size,
    read(offset, length) {
      const bytes = new Uint8Array(length)
      bytes.set(header.subarray(offset, offset + length))
      return bytes
    },
  }
}

async function* rebuiltData(
  patch: PatchReader,
  older: GgufFile,
  newer: GgufFile,
  options: PatchOptions,
): AsyncGenerator<Uint8Array> {
  for await (const { coding } of patchChunks(older, newer, patch.facts.bits, options)) {
    yield coding.join(coding.lengths.map((length) => patch.stream(length, 'a stream of tensor data')))
  }
}

function isSame(one: FileFacts, other: FileFacts): boolean {
  return one.bytes === other.bytes && bytesEqual(one.sha256, other.sha256)
}

function mismatch(message: string): MeshError {
  return new MeshError('hash-mismatch', message)
}
