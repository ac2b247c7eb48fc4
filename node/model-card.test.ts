import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { identityToText } from '../protocol/index.ts'
import { aHash, aManifest, anAuthor } from '../testing/objects.ts'
import { modelCard } from './model-card.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'
import { writeModelCard } from './write-model-card.ts'

const hex = (n: number): string => Buffer.from(aHash(n)).toString('hex')

test('a model card says what it is, how to use it, how good it is, where it comes from and how to verify it', () => {
  const manifest = aManifest({
    licence: 'Apache-2.0',
    requires: [{ name: 'science', range: '^1.0.0' }],
    use: { scale: 1_000_000, scaleRange: [0, 2_000_000], trigger: 'cell:', systemPrompt: 'Be brief.\nBe right.' },
    evaluations: [
      { suite: aHash(5), metric: 'exact-match', value: 610_000, baseValue: 340_000, n: 100, standardError: 48_775 },
    ],
    lineage: { method: 'trained', parents: [{ release: aHash(6), scale: 1_000_000 }] },
  })
  const card = modelCard({ manifest, releaseId: aHash(7) }, new Map([[hex(5), 'biology.suite.jsonl']]))
  const identity = identityToText(anAuthor().identity)
  for (const part of [
    '# biology 1.0.0\n\nanswers questions about cells\n',
    `Base: tiny llama, base id \`${hex(11)}\``,
    'Licence: Apache-2.0',
    'Requires: science@^1.0.0',
    `lora-mesh request "${identity}/biology@1.0.0" --chat`,
    'cell:',
    '> Be brief.\n> Be right.',
    `| biology.suite.jsonl \`${hex(5).slice(0, 12)}\` | exact-match | 34.0 % | 61.0 % | 100 | 4.9 % |`,
    `- release \`${hex(6)}\`, at 1`,
    `Release id: \`${hex(7)}\``,
    `SHA-256 of the adapter: \`${hex(14)}\``,
  ])
    expect(card).toContain(part)
})

test('text of a publisher becomes no HTML, link or table cell of the card', () => {
  const manifest = aManifest({ summary: '<img src=x> [a](http://b) | c\\' })
  expect(modelCard({ manifest, releaseId: aHash(7) })).toContain('\\<img src=x\\> \\[a\\](http://b) \\| c\\\\\n')
})

test('a card is written beside the file or into the folder, and never over what is there', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'law.gguf')
  const peft = join(folder.path, 'peft')
  await writeFile(file, '')
  await mkdir(peft)
  const facts = { name: 'law', version: '1.0.0' }
  expect(await writeModelCard({ path: peft, ...facts }, 'card')).toBe(join(peft, 'law-1.0.0.md'))
  await writeFile(join(folder.path, 'law-1.0.0.md'), 'mine')
  expect(await writeModelCard({ path: file, ...facts }, 'card')).toBe(join(folder.path, 'law-1.0.0-2.md'))
  expect(await writeModelCard({ path: file, ...facts }, 'card')).toBe(join(folder.path, 'law-1.0.0-3.md'))
  expect(await readFile(join(folder.path, 'law-1.0.0.md'), 'utf8')).toBe('mine')
  expect(await readdir(peft)).toEqual(['law-1.0.0.md'])
})
