// An exact patch between two adapter files that are there.
import { readGguf } from '../gguf-reader.ts'
import { sha256File } from '../file-digest.ts'
import { openFileSource } from '../byte-source.ts'
import { newerBytes, patchChunks } from './patch-chunks.ts'
import type { PatchOptions } from './patch-chunks.ts'
import { PatchFile } from './patch-file.ts'
import { patchCodecs } from './patch-format.ts'
import type { FileFacts, PatchCodec } from './patch-format.ts'
import { requireCanonical } from './canonical-file.ts'
import { storing } from './storing.ts'

export interface MakePatchJob {
  readonly oldPath: string
  readonly newPath: string
  readonly out: string
}

/** Size and digest of the patch file; whether it is worth sending is for the caller to say. */
export interface MadePatch extends FileFacts {
  readonly codec: PatchCodec
  readonly from: FileFacts
  readonly to: FileFacts
}

/**
 * Writes the patch in full or not at all. Throws `not-found`, `bad-input`, `gguf-malformed`, `gguf-refused` (the newer file is not written
 * as the mesh writes files, so it couldn't be rebuilt), `aborted`, `disk-full` or `storage-failed`.
 */
export async function makePatch(
  { oldPath, newPath, out }: MakePatchJob,
  options: PatchOptions = {},
): Promise<MadePatch> {
  using oldSource = openFileSource(oldPath)
  using newSource = openFileSource(newPath)
  const [older, newer] = [readGguf(oldSource, 'adapter'), readGguf(newSource, 'adapter')]
  requireCanonical(newer)
  const from = { bytes: oldSource.size, sha256: await sha256File(oldPath, { signal: options.signal }) }
  const to = { bytes: newSource.size, sha256: await sha256File(newPath, { signal: options.signal }) }
  return await storing(out, options, async () => {
    await using patch = await PatchFile.create(out)
    await patch.header(older, newer)
    for await (const chunk of patchChunks(older, newer, 0, options)) {
      for (const stream of chunk.coding.split(newerBytes(newer, chunk))) await patch.stream(stream)
    }
    return { ...(await patch.finish({ bits: 0, from, to }, options)), codec: patchCodecs.exact, from, to }
  })
}
