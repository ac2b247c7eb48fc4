import { describe, expect, test } from 'vitest'
import { isTestFile, layerProblems, shippedFolders } from './check-layers.ts'
import { importsOf, openingCommentLines, scanSource } from './source-text.ts'
import { readPackageJson, readSources } from './source-tree.ts'

const packages = { dependencies: ['zod', 'webtorrent', 'sodium-native', 'express'], devDependencies: ['vitest'] }
const header = '// owns\n// is called by\n// never\n// ever\n'

function problemsOf(files: Record<string, string>): string[] {
  const folders = new Set(Object.keys(files).map((path) => path.split('/')[0] as string))
  const indexes = [...folders]
    .filter((folder) => shippedFolders.includes(folder))
    .map((folder) => [`${folder}/index.ts`, header] as const)
  return layerProblems(new Map([...indexes, ...Object.entries(files)]), packages)
}

test('the layers of this repository hold', () => {
  const { dependencies, optionalDependencies, devDependencies } = readPackageJson()
  const sources = readSources()
  expect(sources.size).toBeGreaterThan(5)
  const problems = layerProblems(sources, {
    dependencies: Object.keys({ ...dependencies, ...optionalDependencies }),
    devDependencies: Object.keys(devDependencies),
  })
  expect(problems).toEqual([])
})

describe('a tree that breaks a rule is told which', () => {
  const index = (folder: string): Record<string, string> => ({ [`${folder}/index.ts`]: header })
  test.each([
    [
      'a feature imports another feature',
      { 'swarm/a.ts': "import { b } from '../registry/index.ts'", ...index('registry') },
      'swarm may not depend on registry',
    ],
    [
      'a type is imported from another feature',
      { 'swarm/a.ts': "import type { B } from '../registry/index.ts'", ...index('registry') },
      'swarm may not depend on registry',
    ],
    [
      'an inline type import reaches another feature',
      { 'swarm/a.ts': "type B = import('../registry/index.ts').B", ...index('registry') },
      'swarm may not depend on registry',
    ],
    [
      'a feature imports node',
      { 'swarm/a.ts': "await import('../node/index.ts')", ...index('node') },
      'swarm may not depend on node',
    ],
    [
      'a leaf imports a feature',
      { 'model-files/a.ts': "export * from '../swarm/index.ts'", ...index('swarm') },
      'model-files may not depend on swarm',
    ],
    [
      'protocol imports a leaf',
      { 'protocol/a.ts': "import { x } from '../model-files/index.ts'", ...index('model-files') },
      'protocol may not depend on model-files',
    ],
    [
      'the inside of a folder is imported',
      { 'swarm/a.ts': "import { x } from '../protocol/errors.ts'", 'protocol/errors.ts': '' },
      'only protocol/index.ts may be imported',
    ],
    [
      'node reaches into a feature',
      { 'node/a.ts': "import { x } from '../swarm/fetch.ts'", 'swarm/fetch.ts': '' },
      'only swarm/index.ts may be imported',
    ],
    [
      'shipped code imports testing/',
      { 'swarm/a.ts': "import { kit } from '../testing/kit.ts'", 'testing/kit.ts': '' },
      'swarm may not depend on testing',
    ],
    [
      'shipped code imports bench/',
      { 'node/a.ts': "import { x } from '../bench/demo.ts'", 'bench/demo.ts': '' },
      'node may not depend on bench',
    ],
    [
      'testing/ imports a feature',
      { 'testing/a.ts': "import { x } from '../swarm/index.ts'", ...index('swarm') },
      'testing may not depend on swarm',
    ],
    [
      'shipped code imports a test file',
      { 'swarm/a.ts': "import './a.contract.ts'", 'swarm/a.contract.ts': '' },
      'which is not shipped',
    ],
    [
      'a test reaches into another feature',
      { 'swarm/a.test.ts': "import { x } from '../registry/index.ts'", ...index('registry') },
      'swarm may not depend on registry',
    ],
    ['a file is imported that does not exist', { 'swarm/a.ts': "import { b } from './b.ts'" }, 'does not exist'],
    [
      'an import leaves the repository',
      { 'swarm/a.ts': "import { b } from '../../elsewhere/b.ts'" },
      'outside the repository',
    ],
    ['protocol does input', { 'protocol/a.ts': "import { readFileSync } from 'node:fs'" }, 'no input or output'],
    ['protocol reads the clock', { 'protocol/a.ts': 'export const now = () => Date.now()' }, 'reads a clock'],
    ['protocol is random', { 'protocol/a.ts': 'const x = `${Math.random()}`' }, 'is random'],
    ['protocol draws keys', { 'protocol/a.ts': 'sodium.randombytes_buf(seed)' }, 'is random'],
    ['protocol starts a timer', { 'protocol/a.ts': 'setTimeout(f, 1)' }, 'starts a timer'],
    [
      'a network library leaves its child',
      { 'swarm/a.ts': "import WebTorrent from 'webtorrent'" },
      'only swarm/network-child/ may',
    ],
    [
      'the verifier is gone around',
      { 'swarm/a.ts': "import sodium from 'sodium-native'" },
      'only protocol/ and node/sealed-secret.ts may',
    ],
    ['a feature opens an HTTP server', { 'registry/a.ts': "import express from 'express'" }, 'only node/ may'],
    [
      'a library is not a dependency',
      { 'swarm/a.ts': "import { x } from '@scope/left/pad'" },
      'not among the dependencies',
    ],
    [
      'shipped code uses a development tool',
      { 'swarm/a.ts': "import { x } from 'vitest'" },
      'not among the dependencies',
    ],
    [
      'an entry is named by its clone path',
      { 'swarm/a.ts': "f(new URL('./b.ts', import.meta.url))" },
      'dist/ has no such file',
    ],
    [
      'an entry does not exist',
      { 'swarm/a.ts': "f(siblingEntry('./b', import.meta.url))" },
      'swarm/b.ts, which does not exist',
    ],
    ['an index says nothing', { 'swarm/index.ts': '// bytes\nexport const a = 1' }, 'opens with 1 lines of comment'],
  ])('%s', (_, files, problem) => {
    const problems = problemsOf(files)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(problem)
  })

  test('a folder without index.ts', () => {
    expect(layerProblems(new Map([['swarm/a.ts', '']]), packages)).toEqual([
      'swarm/index.ts:1 is missing: it is the only file that other folders import',
    ])
  })
})

test('what the layers allow is not reported', () => {
  const problems = problemsOf({
    'node/create-node.ts':
      "import { fetch } from '../swarm/index.ts'\nimport { x } from './http/serve.ts'\nimport express from 'express'",
    'node/http/serve.ts': "import { seal } from '../../protocol/index.ts'",
    'swarm/network-child/main.ts': "import WebTorrent from 'webtorrent'",
    'swarm/a.ts': "import { a } from '../protocol/index.ts'\nimport { b } from '../model-files/index.ts'",
    'swarm/store.test.ts':
      "import { kit } from '../testing/kit.ts'\nimport { suite } from '../registry/log.contract.ts'",
    'swarm/crash.test-child.ts': "import WebTorrent from 'webtorrent'",
    'registry/log.contract.ts': "import { test } from 'vitest'",
    'protocol/hash.ts':
      "import { createHash } from 'node:crypto' // not Date.now()\nconst text = 'Math.random() setTimeout('",
    'protocol/hash.test.ts': "import { readFileSync } from 'node:fs'\nDate.now()",
    'model-files/read.ts': "import { x } from '../protocol/index.ts'",
    'bench/demo.ts': "import { x } from '../swarm/fetch.ts'",
    'swarm/fetch.ts': '',
    'testing/kit.ts': "import { x } from '../protocol/index.ts'",
  })
  expect(problems).toEqual([])
})

describe('reading source text', () => {
  test('every form of import is found, and none in comments or strings', () => {
    const source = [
      "import a from 'a'",
      "import {\n  b,\n  type B,\n} from 'b'",
      "import * as c from 'c'",
      "import 'd'",
      "export { e } from 'e'",
      "export * from 'f'",
      "import type { G } from 'g'",
      "const h = await import('h')",
      "import i, { j } from 'i'",
      "// import x from 'x'",
      "/* import y from 'y' */ import { k } from 'k'",
      'const text = "import z from \'z\'"',
      "const isQuote = /[\"'`]/.test(s) ; const l = import('l')",
      "export type { M } from 'm'",
      "export const from = 'not-an-import'",
    ].join('\n')
    expect(importsOf(source).map(({ specifier }) => specifier)).toEqual([...'abcdefghiklm'])
    expect(importsOf(source)[6]).toEqual({ specifier: 'g', line: 10, typeOnly: true })
  })

  test('literals and comments are blanked without moving a line', () => {
    const source = 'a("b", `c ${d + `e${f}`} g`) // h\n/* i\n*/ j / k / l'
    const { codeOnly } = scanSource(source)
    expect(codeOnly).toHaveLength(source.length)
    expect(codeOnly.replaceAll(/\s+/g, ' ')).toBe('a(" ", ` ${d + ` ${f}`} `) j / k / l')
  })

  test('the lines of the opening comment are counted, empty ones not', () => {
    expect(openingCommentLines('// a\n// b\n//\n\nexport {}')).toBe(2)
    expect(openingCommentLines('#!/usr/bin/env node\n/**\n * a\n * b\n */\nexport {}')).toBe(2)
    expect(openingCommentLines('export {}\n// a')).toBe(0)
  })

  test('tests are told from shipped code by their names', () => {
    expect(
      ['a.test.ts', 'b.contract.ts', 'c.test-child.ts', 'x/testing/y.ts', 'd.ts', 'test.ts'].map(isTestFile),
    ).toEqual([true, true, true, true, false, false])
  })
})
