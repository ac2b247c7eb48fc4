// The test-data kit that lies beside the checkout (`../shared/kit`): real models, real adapters, golden numbers, hostile files.
// Only tests and measurements import this. A machine without the kit says what it leaves out; continuous integration must have it.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

const root = fileURLToPath(new URL('../../shared/kit', import.meta.url))
const present = existsSync(join(root, 'README.md'))
if (!present && process.env['CI'] === 'true') {
  throw new Error(
    `The test-data kit is missing (expected at ../shared/kit): continuous integration must not skip its tests.`,
  )
}

export const kit = {
  present,
  /** Absolute path of a file or folder of the kit. */
  path: (...parts: string[]): string => join(root, ...parts),
}
