// Runs after `npm pack`: see prepack.ts.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './source-tree.ts'

rmSync(join(root, 'npm-shrinkwrap.json'), { force: true })
