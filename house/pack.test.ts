import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveOnePackage } from './one-package-registry.ts'
import { environmentForNpm, packCopy } from './pack-copy.ts'
import { runProgram } from './run-program.ts'
import { productionLock, type Lockfile } from './shrinkwrap.ts'
import { importsOf } from './source-text.ts'
import { readPackageJson, readText, root } from './source-tree.ts'

const manifest = readPackageJson()
const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-pack-'))
const installed = join(folder, 'empty', 'node_modules', manifest.name)
let tarball = ''
let files: string[] = []

// The package is unpacked where an install would put it, with the clone's libraries beside it: what Node refuses under
// node_modules (stripping types) is refused here too. `npm run test:pack` does the same with a real install.
beforeAll(async () => {
  tarball = await packCopy(folder)
  mkdirSync(installed, { recursive: true })
  const { code, stderr } = await runProgram('tar', ['xzf', tarball, '--strip-components=1', '-C', installed])
  if (code !== 0) throw new Error(`the tarball can't be unpacked: ${stderr}`)
  files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1))
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the package', () => {
  test('has the program and its documents, and neither sources nor tests', () => {
    expect(files).toEqual(
      expect.arrayContaining(['package.json', 'LICENSE', 'npm-shrinkwrap.json', 'bin/lora-mesh.cjs', 'README.md']),
    )
    expect(
      files.filter((path) => /(?<!\.d)\.ts$|\.(?:test|contract|test-child|test-support)\.|\/testing\//.test(path)),
    ).toEqual([])
    expect(
      [...new Set(files.filter((path) => path.includes('/')).map((path) => path.split('/')[0]))].toSorted(),
    ).toEqual(['bin', 'dist'])
  })

  test('has every file that its code imports', () => {
    const missing = files
      .filter((path) => path.endsWith('.js'))
      .flatMap((path) =>
        importsOf(readFileSync(join(installed, path), 'utf8'))
          .filter(
            ({ specifier }) => specifier.startsWith('.') && !existsSync(join(installed, dirname(path), specifier)),
          )
          .map(({ specifier }) => `${path} imports ${specifier}`),
      )
    expect(missing).toEqual([])
  })

  test('leaves nothing behind in the folder it was packed from', () => {
    expect(existsSync(join(folder, 'tree', 'npm-shrinkwrap.json'))).toBe(false)
  })

  test('has folders that plain Node imports, and none keeps it from ending', async () => {
    const indexes = files.filter((path) => /^dist\/[^/]+\/index\.js$/.test(path)).map((path) => `./${path}`)
    expect(indexes.length).toBeGreaterThan(1)
    const script = `for (const path of ${JSON.stringify(indexes)}) await import(path)`
    const run = await runProgram(process.execPath, ['--input-type=module', '--eval', script], { cwd: installed })
    expect(run).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
  })

  test('installs from a registry with exactly the locked versions, whatever is newer elsewhere', async () => {
    await using registry = await serveOnePackage(manifest, readFileSync(tarball))
    const target = join(folder, 'from-registry')
    mkdirSync(target)
    const options = [
      '--package-lock-only',
      '--no-audit',
      '--no-fund',
      '--no-update-notifier',
      `--registry=${registry.url}`,
    ]
    const args = ['install', manifest.name, ...options, `--cache=${join(folder, 'cache')}`]
    const run = await runProgram('npm', args, { cwd: target, env: environmentForNpm() })
    expect(run).toMatchObject({ code: 0 })
    const { packages } = JSON.parse(readFileSync(join(target, 'package-lock.json'), 'utf8')) as Lockfile
    const inside = `node_modules/${manifest.name}/`
    const got = Object.entries(packages).filter(([path]) => path.startsWith(inside))
    const versions = Object.fromEntries(got.map(([path, entry]) => [path.slice(inside.length), entry.version]))
    const { '': _, ...locked } = productionLock(JSON.parse(readText('package-lock.json')) as Lockfile).packages
    expect(versions).toEqual(Object.fromEntries(Object.entries(locked).map(([path, entry]) => [path, entry.version])))
  })
})

describe('the program of the package', () => {
  const bin = join(installed, 'bin/lora-mesh.cjs')

  test('prints its help and its version', async () => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder }
    const help = await runProgram(process.execPath, [bin, '--help'], { cwd: folder, env })
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('Usage: lora-mesh')
    const version = await runProgram(process.execPath, [bin, '--version'], { cwd: folder, env })
    expect(version).toMatchObject({ code: 0, stderr: '' })
    expect(version.stdout.trim()).toContain(manifest.version)
  })

  test.each(['22.99.0', '0.10.48'])('refuses Node %s in one sentence', async (old) => {
    const disguise = join(folder, `as-node-${old}.cjs`)
    writeFileSync(disguise, `Object.defineProperty(process, 'versions', { value: { node: '${old}' } })`)
    const run = await runProgram(process.execPath, ['--require', disguise, bin, '--help'])
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toBe(
      `lora-mesh needs Node 24 or newer, and this is Node ${old}: install a newer Node and put it first on the PATH.\n`,
    )
  })

  test('is written so that a Node of any age can read it', () => {
    const code = readText('bin/lora-mesh.cjs')
    expect(code).not.toMatch(/=>|`|\b(?:const|let|class|async|await)\b|\bimport\s*\(|\?\.|\?\?|node:|,\s*[)\]}]/)
  })
})
