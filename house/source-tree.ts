// The files of the checkout as the rules of the house see them: everything but what .gitignore names.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Absolute path of the repository, with a trailing slash. */
export const root = fileURLToPath(new URL('..', import.meta.url))

const skippedFolders = new Set(['node_modules', 'dist', '.git', '.scratch'])
const skippedFiles = /\.log$|\.tgz$|^npm-shrinkwrap\.json$/

/** Repository-relative paths with forward slashes, sorted. */
export function listFiles(folder = ''): string[] {
  const found: string[] = []
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) {
      if (!skippedFolders.has(entry.name)) found.push(...listFiles(path))
    } else if (entry.isFile() && !skippedFiles.test(entry.name)) found.push(path)
  }
  return found.toSorted()
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export interface PackageJson {
  name: string
  version: string
  dependencies: Record<string, string>
  optionalDependencies: Record<string, string>
  devDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
  files: string[]
}

export function readPackageJson(): PackageJson {
  return JSON.parse(readText('package.json')) as PackageJson
}

/** The `.ts` files of the tree with their text. */
export function readSources(): Map<string, string> {
  const paths = listFiles().filter((path) => path.endsWith('.ts'))
  return new Map(paths.map((path) => [path, readText(path)]))
}
