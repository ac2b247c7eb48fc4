// The rules of "the folders are the architecture" as a function over file texts: no file system, so that a test can feed it a
// tree that breaks every rule. Each problem is one sentence that begins with `path:line`.
import { posix } from 'node:path'
import { importsOf, openingCommentLines, scanSource } from './source-text.ts'

const features = ['resolver', 'registry', 'swarm', 'assembler', 'academy']
const leaves = ['protocol', 'model-files', 'supervisor']

/** Which folders the shipped code of a folder may import from. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  'model-files': ['protocol'],
  supervisor: ['protocol'],
  ...Object.fromEntries(features.map((feature) => [feature, leaves])),
  node: [...features, ...leaves],
  testing: ['protocol', 'model-files'],
  house: ['testing'],
}

/** Folders whose code goes into the package. */
export const shippedFolders: readonly string[] = [...leaves, ...features, 'node']

/** Measurements and fixture builders stand outside the layers: they may use everything, and only tests use them. */
const outsideLayers = new Set(['bench', 'fixtures'])

/** Where a library may be imported by shipped code; libraries that aren't named may be imported anywhere. */
const homes: Readonly<Record<string, readonly string[]>> = {
  webtorrent: ['swarm/network-child/'],
  'bittorrent-dht': ['swarm/network-child/'],
  'bittorrent-protocol': ['swarm/network-child/'],
  hyperswarm: ['swarm/network-child/'],
  hyperdht: ['swarm/network-child/'],
  'node-llama-cpp': ['assembler/engine-child/'],
  '@xenova/transformers': ['resolver/'],
  // Signatures are checked in protocol/ alone. Locking a key file under a passphrase draws randomness, so it can't live there.
  'sodium-native': ['protocol/', 'node/sealed-secret.ts'],
  express: ['node/'],
  helmet: ['node/'],
}

// `<folder>/testing/` holds what only that folder's tests use, such as a child that misbehaves.
const testFile = /\.(?:test|contract|test-child|test-support)\.ts$|^[^/]+\/(?:.+\/)?testing\//

/** Whether a path is a test or belongs to tests: not shipped, and freer in what it imports. */
export function isTestFile(path: string): boolean {
  return testFile.test(path)
}

// protocol/ is pure: these built-in modules compute, every other one reads or changes the world.
const pureBuiltIns = new Set(['node:crypto', 'node:buffer', 'node:util'])
const impureCode: readonly [RegExp, string][] = [
  [/\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\b|\bhrtime\b/, 'reads a clock'],
  [/\bMath\s*\.\s*random\b|\brandom(?:Bytes|Fill\w*|Int|UUID)\b|\bgetRandomValues\b|\brandombytes_\w+/, 'is random'],
  [/\b(?:crypto_sign_keypair|crypto_box_keypair|generateKeyPair\w*)\b/, 'is random'],
  [/\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, 'starts a timer'],
  [/\bprocess\s*\.|\bfetch\s*\(|\bconsole\s*\./, 'touches the world outside'],
]

export interface PackageNames {
  dependencies: Iterable<string>
  devDependencies: Iterable<string>
}

export function layerProblems(sources: ReadonlyMap<string, string>, packages: PackageNames): string[] {
  const problems: string[] = []
  const shippable = new Set(packages.dependencies)
  const installable = new Set([...shippable, ...packages.devDependencies])
  for (const [path, source] of sources) {
    problems.push(
      ...headerProblems(path, source),
      ...purityProblems(path, source),
      ...entryProblems(path, source, sources),
    )
    for (const { specifier, line } of importsOf(source)) {
      const problem = specifier.startsWith('.')
        ? ownImportProblem(path, posix.join(posix.dirname(path), specifier), sources)
        : libraryImportProblem(path, specifier, shippable, installable)
      if (problem !== undefined) problems.push(`${path}:${line} ${problem}`)
    }
  }
  for (const folder of shippedFolders) {
    const inside = [...sources.keys()].some((path) => path.startsWith(`${folder}/`))
    if (inside && folder !== 'node' && !sources.has(`${folder}/index.ts`)) {
      problems.push(`${folder}/index.ts:1 is missing: it is the only file that other folders import`)
    }
  }
  return problems
}

function ownImportProblem(path: string, target: string, sources: ReadonlyMap<string, string>): string | undefined {
  if (target.startsWith('../')) return `imports ${target}, which lies outside the repository`
  if (target.endsWith('.ts') && !sources.has(target)) return `imports ${target}, which does not exist`
  const from = folderOf(path)
  const to = folderOf(target)
  const inTest = isTestFile(path)
  if (!inTest && !isOutside(from) && isTestFile(target)) return `imports the test file ${target}, which is not shipped`
  if (from === to || isOutside(from)) return undefined
  if (inTest) {
    if (to === 'testing' || isOutside(to)) return undefined
    // A contract suite is handed to whoever implements the port, wherever that is.
    if (target.endsWith('.contract.ts')) return undefined
  }
  if (!(mayImport[from] ?? []).includes(to)) return `imports ${target}: ${from} may not depend on ${to}`
  if (to !== 'testing' && target !== `${to}/index.ts`) return `imports ${target}: only ${to}/index.ts may be imported`
  return undefined
}

function libraryImportProblem(
  path: string,
  specifier: string,
  shippable: ReadonlySet<string>,
  installable: ReadonlySet<string>,
): string | undefined {
  const shipped = shippedFolders.includes(folderOf(path)) && !isTestFile(path)
  if (specifier.startsWith('node:')) {
    if (shipped && folderOf(path) === 'protocol' && !pureBuiltIns.has(specifier)) {
      return `imports ${specifier}: protocol/ does no input or output`
    }
    return undefined
  }
  const name = packageOf(specifier)
  if (!(shipped ? shippable : installable).has(name)) {
    return `imports ${specifier}, which is not among the ${shipped ? 'dependencies' : 'packages'} of package.json`
  }
  const allowed = homes[name]
  if (shipped && allowed !== undefined && !allowed.some((home) => path.startsWith(home))) {
    return `imports ${specifier}: only ${allowed.join(' and ')} may`
  }
  return undefined
}

function headerProblems(path: string, source: string): string[] {
  if (posix.basename(path) !== 'index.ts' || !shippedFolders.includes(folderOf(path))) return []
  const lines = openingCommentLines(source)
  if (lines >= 4) return []
  return [
    `${path}:1 opens with ${lines} lines of comment: it must say what it owns, who calls it, what it must never do`,
  ]
}

function purityProblems(path: string, source: string): string[] {
  if (folderOf(path) !== 'protocol' || isTestFile(path)) return []
  return scanSource(source)
    .codeOnly.split('\n')
    .flatMap((line, index) =>
      impureCode
        .filter(([pattern]) => pattern.test(line))
        .map(([, what]) => `${path}:${index + 1} ${what}: protocol/ is pure, time and randomness are parameters`),
    )
}

// The package holds compiled `.js`: a path to a `.ts` file that isn't an import is right in a clone only.
function entryProblems(path: string, source: string, sources: ReadonlyMap<string, string>): string[] {
  if (!shippedFolders.includes(folderOf(path)) || isTestFile(path)) return []
  const { withoutComments } = scanSource(source)
  const lineAt = (index: number): number => withoutComments.slice(0, index).split('\n').length
  const wrong = [...withoutComments.matchAll(/\bnew\s+URL\s*\(\s*['"`][^'"`\n]*\.ts['"`]/g)].map(
    ({ index }) =>
      `${path}:${lineAt(index)} names a .ts file by URL: use siblingEntry of supervisor/, dist/ has no such file`,
  )
  const dangling = [...withoutComments.matchAll(/\bsiblingEntry\(\s*['"]([^'"\n]+)['"]/g)]
    .map(({ index, 1: entry }) => ({ index, target: posix.join(posix.dirname(path), `${entry}.ts`) }))
    .filter(({ target }) => !sources.has(target))
    .map(({ index, target }) => `${path}:${lineAt(index)} names the entry ${target}, which does not exist`)
  return [...wrong, ...dangling]
}

function isOutside(folder: string): boolean {
  return outsideLayers.has(folder) || folder === ''
}

/** The top folder of a path; '' for a file at the root, which is configuration. */
function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : ''
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
