// `init`: keys of a new identity, and a note that they were made here and not restored.
import type { DataPaths } from './data-folder.ts'
import { createKeys, hasKeyFiles } from './keys.ts'
import type { KeyMaker } from './keys.ts'
import { writePrivateFile } from './private-file.ts'

/** Returns the identity's text. Throws what `createKeys` throws. */
export async function createIdentity({ keys, newIdentity }: DataPaths, maker: KeyMaker): Promise<string> {
  const restored = await hasKeyFiles(keys)
  const identity = await createKeys(keys, maker)
  if (!restored) await writePrivateFile(newIdentity, identity)
  return identity
}
