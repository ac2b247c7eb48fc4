import { describe, expect, test } from 'vitest'
import { productionLock, type Lockfile } from './shrinkwrap.ts'
import { readPackageJson, readText } from './source-tree.ts'

const lock = JSON.parse(readText('package-lock.json')) as Lockfile
const manifest = readPackageJson()
const entries = Object.entries(lock.packages).filter(([path]) => path !== '')

/** `node_modules/a/node_modules/@b/c` is the package `@b/c`. */
const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

test('every dependency is one exact version', () => {
  const wanted = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.devDependencies }
  const loose = Object.entries(wanted).filter(([, range]) => !/^(?:npm:@?[\w./-]+@)?\d+\.\d+\.\d+$/.test(range))
  expect(loose).toEqual([])
})

test('the lockfile was made from this package.json', () => {
  const root = lock.packages['']
  expect([lock.version, root?.version]).toEqual([manifest.version, manifest.version])
  expect(root?.dependencies).toEqual(manifest.dependencies)
  expect(root?.devDependencies).toEqual(manifest.devDependencies)
  expect(root?.optionalDependencies).toEqual(manifest.optionalDependencies)
})

test('the lockfile names no host, and every package has its hash', () => {
  expect(entries.filter(([, entry]) => entry.resolved !== undefined)).toEqual([])
  expect(entries.filter(([, entry]) => !entry.integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([])
})

test('no platform is missing: npm leaves a package it could not resolve out of the lockfile without a word', () => {
  const names = new Set(entries.map(([path]) => nameOf(path)))
  const missing = entries.flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !names.has(name))
      .map((name) => `${path} wants ${name}`),
  )
  expect(missing).toEqual([])
})

test('every install script was looked at: it is on the list, and the list has nothing else', () => {
  const scripted = new Set(entries.filter(([, entry]) => entry.hasInstallScript).map(([path]) => nameOf(path)))
  expect(Object.keys(manifest.allowScripts).toSorted()).toEqual([...scripted].toSorted())
  // Node's own package links the binary of the platform; everything else works without running anything.
  expect(Object.keys(manifest.allowScripts).filter((name) => manifest.allowScripts[name])).toEqual(['node'])
})

describe('the lockfile inside the package', () => {
  const production = productionLock(lock)

  test('has every package that is not for development alone, and no other', () => {
    const kept = Object.keys(production.packages)
    const left = entries.filter(([path, entry]) => !kept.includes(path) && !entry.dev).map(([path]) => path)
    // The compiler is an optional peer of a library; npm marks its platform packages as if production might want them.
    expect(left.filter((path) => !/^node_modules\/(?:@typescript\/|typescript$)/.test(path))).toEqual([])
    expect(kept.filter((path) => lock.packages[path]?.dev)).toEqual([])
    expect(kept).not.toContain('node_modules/vitest')
  })

  test('has the versions of package-lock.json and no development dependencies', () => {
    for (const [path, entry] of Object.entries(production.packages)) {
      expect([path, entry.version, entry.integrity]).toEqual([
        path,
        lock.packages[path]?.version,
        lock.packages[path]?.integrity,
      ])
    }
    expect(production.packages['']).not.toHaveProperty('devDependencies')
  })

  test('a nested package is found before the one above it', () => {
    const nested: Lockfile = {
      name: 'x',
      version: '1.0.0',
      lockfileVersion: 3,
      packages: {
        '': { dependencies: { a: '1' }, devDependencies: { c: '1' } },
        'node_modules/a': {
          dependencies: { b: '2' },
          peerDependencies: { c: '*' },
          peerDependenciesMeta: { c: { optional: true } },
        },
        'node_modules/a/node_modules/b': { dependencies: { d: '1' } },
        'node_modules/b': { dev: true },
        'node_modules/c': { devOptional: true },
        'node_modules/d': { devOptional: true },
      },
    }
    const { packages } = productionLock(nested)
    expect(Object.keys(packages)).toEqual(['', 'node_modules/a', 'node_modules/a/node_modules/b', 'node_modules/d'])
    expect(packages['node_modules/d']).toEqual({ optional: true })
  })

  test('a package that is missing from the lockfile is an error', () => {
    const broken = { ...lock, packages: { '': { dependencies: { gone: '1.0.0' } } } }
    expect(() => productionLock(broken)).toThrow('no gone')
  })
})
