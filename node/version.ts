// Which version this is: package.json stands one or more folders above, in a clone as in an installed package.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const packageSchema = z.object({ name: z.literal('lora-mesh'), version: z.string() })

export function readVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, 'package.json')
    const parsed = existsSync(path) ? packageSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))) : undefined
    if (parsed?.success === true) return parsed.data.version
  }
  throw new Error('package.json of lora-mesh was not found')
}
