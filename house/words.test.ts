import { describe, expect, test } from 'vitest'
import { listFiles, readText } from './source-tree.ts'

// Every forbidden word is written with a bar in it, so that this file doesn't hold what it forbids.
const unbarred = (words: readonly string[]): string => words.join('\n').replaceAll('|', '').replaceAll('\n', '|')
const anyOf = (...words: string[]): string => `(?:${unbarred(words)})`

const forbidden: readonly [what: string, pattern: RegExp][] = [
  ['a path of one machine', new RegExp(`(?<![\\w.$~}-])/${anyOf('wo|rk', 'ro|ot', 'm|nt')}/`)],
  [
    'a package registry or mirror',
    new RegExp(
      anyOf('registry\\.npm|js', 'registry\\.yar|npkg', 'npmmir|ror', 'artif|actory', 'jfr|og\\.io', 'pkg\\.d|ev'),
      'i',
    ),
  ],
  [
    'who or what wrote it',
    new RegExp(`\\b${anyOf('cla|ude', 'anth|ropic', 'cop|ilot', 'chat|gpt', 'co-author|ed-by')}\\b`, 'i'),
  ],
  [
    'an issue number',
    new RegExp(`\\b${anyOf('iss|ue', 'tick|et', 'fix|es', 'clos|es', 'p|r', 'pu|ll')} #?\\d+\\b(?!%)`, 'i'),
  ],
  ['work without an owner', new RegExp(`\\b${anyOf('TO|DO', 'FIX|ME', 'XX|X')}\\b(?!\\([\\w.-]+\\))`)],
  [
    'a rule switched off without a reason',
    new RegExp(
      `${anyOf('ox|lint', 'es|lint')}-disable(?!.* -- \\S)|@ts-${anyOf('ig|nore', 'no|check')}|@ts-${anyOf('expect-err|or')}\\s*$`,
    ),
  ],
  ['a secret', new RegExp(`${anyOf('PRIV|ATE KEY')}-----|\\b(?:npm|gh[pousr])_[A-Za-z0-9]{36}\\b`)],
]

function wordsIn(path: string, text: string): string[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      forbidden
        .filter(([, pattern]) => pattern.test(line))
        .map(([what]) => `${path}:${index + 1} holds ${what}: ${line.trim()}`),
    )
}

test('no file names a machine, a registry or its author, and no work is left without an owner', () => {
  const texts = listFiles().filter((path) => !/\.(?:gguf|safetensors|wasm|bin|png|jpg|zst)$/.test(path))
  expect(texts).toContain('package-lock.json')
  expect(texts.flatMap((path) => wordsIn(path, readText(path)))).toEqual([])
})

describe('a line is told what is wrong with it', () => {
  test.each([
    ['a path of one machine', "const kit = '/wo|rk/shared/kit'"],
    ['a path of one machine', 'see file:///ro|ot/notes'],
    ['a package registry or mirror', '"resolved": "https://registry.npm|js.org/zod/-/zod-4.6.7.tgz"'],
    ['who or what wrote it', 'Co-Author|ed-By: someone'],
    ['an issue number', 'fixes iss|ue 12'],
    ['an issue number', 'clos|es #7'],
    ['work without an owner', '// TO|DO: later'],
    ['a rule switched off without a reason', '// ox|lint-disable-next-line no-console'],
    ['a rule switched off without a reason', '// @ts-ig|nore: it works'],
    ['a secret', '-----BEGIN PRIV|ATE KEY-----'],
  ])('%s', (what, barred) => {
    const line = unbarred([barred])
    expect(wordsIn('a.ts', line)).toEqual([`a.ts:1 holds ${what}: ${line}`])
  })

  test.each([
    "import { kit } from './wo|rk/kit.ts'",
    '// TO|DO(maria): later',
    '// ox|lint-disable-next-line no-console -- the demo prints',
    'const colour = "#123456"',
    'GET ${base}/ro|ot/page',
    'the iss|ue is that 3 peers vote',
  ])('%s is fine', (barred) => {
    expect(wordsIn('a.ts', unbarred([barred]))).toEqual([])
  })
})
