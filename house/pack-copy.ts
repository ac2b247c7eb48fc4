// Packs the package from a copy of the working tree, so that a test leaves neither dist/ nor a shrinkwrap in the clone.
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runProgram } from './run-program.ts'
import { listFiles, root } from './source-tree.ts'

/** The variables that npm sets for its scripts would reach the npm that we start. */
export function environmentForNpm(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(?!config_cache$)/i.test(name)))
}

/**
 * Runs `npm pack` on a copy of the tree inside `folder`.
 * @returns the absolute path of the tarball
 */
export async function packCopy(folder: string): Promise<string> {
  const copy = join(folder, 'tree')
  for (const path of listFiles()) {
    mkdirSync(dirname(join(copy, path)), { recursive: true })
    cpSync(join(root, path), join(copy, path))
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  const { code, stdout, stderr } = await runProgram('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: copy,
    env: environmentForNpm(),
  })
  if (code !== 0) throw new Error(`npm pack ended with ${code}:\n${stdout}\n${stderr}`)
  const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as { filename: string }[]
  if (packed === undefined) throw new Error(`npm pack made no tarball:\n${stdout}`)
  return join(folder, packed.filename)
}
