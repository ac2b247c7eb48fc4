// The newer version as what a patch of a few bits makes of the older one: a file of its own, and the patch that leads to it.
import { openFileSource } from '../byte-source.ts'
import { sha256File } from '../file-digest.ts'
import type { GgufFile } from '../gguf-format.ts'
import { readGguf } from '../gguf-reader.ts'
import { writeGgufFile } from '../gguf-writer.ts'
import type { MadePatch } from './make-patch.ts'
import { newerBytes, patchChunks } from './patch-chunks.ts'
import type { PatchOptions } from './patch-chunks.ts'
import { PatchFile } from './patch-file.ts'
import { patchCodecs } from './patch-format.ts'
import type { FileFacts } from './patch-format.ts'
import { contentOf } from './rebuilt-content.ts'
import { storing } from './storing.ts'

export interface DefineByDeltaJob {
  readonly oldPath: string
  /** As it was trained. */
  readonly newPath: string
  /** 2 to 8. */
  readonly bits: number
  /** Where the newer file as it is defined is written, and the patch that makes it of the older one. */
  readonly out: string
  readonly patchOut: string
}

export interface DefinedFile {
  readonly bits: number
  readonly file: FileFacts & { readonly path: string }
  readonly patch: MadePatch & { readonly path: string }
}

/**
 * Tensors that the older file lacks, or has in another shape, stay as they are. Throws `not-finite`, and what `makePatch` throws but
 * `gguf-refused`.
 */
export async function defineByDelta(job: DefineByDeltaJob, options: PatchOptions = {}): Promise<DefinedFile> {
  const { oldPath, newPath, bits, out, patchOut } = job
  using oldSource = openFileSource(oldPath)
  using newSource = openFileSource(newPath)
  const [older, newer] = [readGguf(oldSource, 'adapter'), readGguf(newSource, 'adapter')]
  const from = { bytes: oldSource.size, sha256: await sha256File(oldPath, { signal: options.signal }) }
  return await storing(out, options, async () => {
    await using patch = await PatchFile.create(patchOut)
    await patch.header(older, newer)
    const content = contentOf(newer, definedData(patch, older, newer, bits, options))
    const file = await writeGgufFile(out, content, options.signal ? { signal: options.signal } : {})
    const made = await patch.finish({ bits, from, to: file }, options)
    return {
      bits,
      file: { ...file, path: out },
      patch: { ...made, path: patchOut, codec: patchCodecs.bits, from, to: file },
    }
  })
}

async function* definedData(
  patch: PatchFile,
  older: GgufFile,
  newer: GgufFile,
  bits: number,
  options: PatchOptions,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of patchChunks(older, newer, bits, options)) {
    const streams = chunk.coding.split(newerBytes(newer, chunk))
    for (const stream of streams) await patch.stream(stream)
    yield chunk.coding.join(streams)
  }
}
