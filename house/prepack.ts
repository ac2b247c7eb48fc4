// Runs before `npm pack`: writes npm-shrinkwrap.json from package-lock.json. `postpack` removes it again, because inside a clone
// npm would take it for the lockfile.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { productionLock, type Lockfile } from './shrinkwrap.ts'
import { readText, root } from './source-tree.ts'

const lock = JSON.parse(readText('package-lock.json')) as Lockfile
writeFileSync(join(root, 'npm-shrinkwrap.json'), `${JSON.stringify(productionLock(lock), null, 2)}\n`)
