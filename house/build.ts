// `npm run build`: compiles the shipped folders to dist/, because Node strips no types under node_modules. Beside the code go
// the data files it reads (same relative place) and a package.json with the version, so that no path differs from a clone's.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { shippedFolders } from './check-layers.ts'
import { listFiles, readPackageJson, root } from './source-tree.ts'

const notShipped = /\.(?:ts|md)$|\/kernels\/source\/|\/(?:testing|golden)\/|\/golden[^/]*$/

const dist = join(root, 'dist')
rmSync(dist, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(1)
for (const path of shippedFolders.flatMap((folder) => listFilesIn(folder))) {
  if (notShipped.test(path)) continue
  mkdirSync(dirname(join(dist, path)), { recursive: true })
  cpSync(join(root, path), join(dist, path))
}
const { name, version } = readPackageJson()
writeFileSync(
  join(dist, 'package.json'),
  `${JSON.stringify({ name, version, type: 'module', private: true }, null, 2)}\n`,
)

function listFilesIn(folder: string): string[] {
  return listFiles().filter((path) => path.startsWith(`${folder}/`))
}
