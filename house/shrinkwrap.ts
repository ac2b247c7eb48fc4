// The lockfile that travels inside the package. npm ignores `overrides` and the package-lock.json of an installed package, but
// obeys its npm-shrinkwrap.json where the registry announces one: everyone then gets the versions that were tested here.

export interface LockEntry {
  version?: string
  integrity?: string
  resolved?: string
  dev?: boolean
  optional?: boolean
  devOptional?: boolean
  hasInstallScript?: boolean
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

export interface Lockfile {
  name: string
  version: string
  lockfileVersion: number
  requires?: boolean
  packages: Record<string, LockEntry>
}

/**
 * The same lockfile without what only development needs, in the same order: the same input gives the same bytes.
 * @throws Error if a package that production needs is not in the lockfile.
 */
export function productionLock(lock: Lockfile): Lockfile {
  const needed = neededInProduction(lock.packages)
  const packages: Record<string, LockEntry> = {}
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (!needed.has(path)) continue
    const { devDependencies: _, devOptional, ...kept } = entry
    // Needed by development and by something optional: without the former, the latter remains.
    packages[path] = devOptional === true ? { ...kept, optional: true } : kept
  }
  return { ...lock, packages }
}

/** Keys of `packages` that a production install may need, on whatever platform; '' is the package itself. */
function neededInProduction(packages: Lockfile['packages']): Set<string> {
  const needed = new Set<string>([''])
  const queue = ['']
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const entry = packages[path] as LockEntry
    const peers = Object.keys(entry.peerDependencies ?? {}).filter(
      (name) => entry.peerDependenciesMeta?.[name]?.optional !== true,
    )
    const names = { ...entry.dependencies, ...entry.optionalDependencies }
    for (const name of [...Object.keys(names), ...peers]) {
      const target = resolveFrom(path, name, packages)
      if (target === undefined)
        throw new Error(`package-lock.json has no ${name}, which ${path || 'the package'} needs`)
      if (needed.has(target)) continue
      needed.add(target)
      queue.push(target)
    }
  }
  return needed
}

/** The lockfile key of what `name` means inside the package at `path`: the nearest node_modules folder, going up. */
function resolveFrom(path: string, name: string, packages: Lockfile['packages']): string | undefined {
  for (let folder = path; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('node_modules/') - 1, 0))) {
    const candidate = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
    if (candidate in packages) return candidate
    if (folder === '') return undefined
  }
}
