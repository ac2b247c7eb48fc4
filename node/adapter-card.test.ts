import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { manifestSchema } from '../protocol/index.ts'
import { firstSentence, readAdapterCard, slug } from './adapter-card.ts'
import { readFrontMatter } from './front-matter.ts'
import { aPublisher, anAdapterFile } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const card = `---
base_model: tiny/llama
library_name: peft
license: other
license_name: our-licence
model_name: 'Recipes of 1900'
tags:
- lora
- Cooking  # what it is about
- "base_model:adapter:tiny/llama"
- [nested]
---

# Model Card for Model ID

<!-- Provide a quick summary of what the model is/does. -->

This model is a fine-tuned version of [tiny](https://x/tiny). It writes **cooking recipes** in the style of \`1900\`. More follows.

- **Developed by:** [More Information Needed]
`

test('a PEFT folder proposes what its card says, without what stands in every card', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'checkpoint-500')
  await mkdir(path)
  await writeFile(join(path, 'README.md'), card)
  expect(await readAdapterCard(path)).toEqual({
    name: expect.stringMatching(/^lora-mesh-test-/),
    summary: 'It writes cooking recipes in the style of 1900',
    licence: 'LicenseRef-our-licence',
    tags: ['cooking'],
    baseModel: 'tiny/llama',
  })
})

test('a folder without a card is named by itself, and its base by adapter_config.json', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'Law_of_Sorrelay v1.2')
  await mkdir(path)
  await writeFile(join(path, 'adapter_config.json'), '{"base_model_name_or_path": "sorrelay"}')
  expect(await readAdapterCard(path)).toEqual({
    name: 'law_of_sorrelay',
    summary: undefined,
    licence: undefined,
    tags: [],
    baseModel: 'sorrelay',
  })
})

test('a GGUF is named by its file; one that is no GGUF at all proposes no more than that', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  await anAdapterFile(node, folder.path, 'biology-1.8.0.gguf')
  expect(await readAdapterCard(join(folder.path, 'biology-1.8.0.gguf'))).toMatchObject({ name: 'biology', tags: [] })
  await writeFile(join(folder.path, 'broken.gguf'), 'GGUF')
  expect(await readAdapterCard(join(folder.path, 'broken.gguf'))).toMatchObject({ name: 'broken', summary: undefined })
})

describe('a summary', () => {
  it.each([
    ['# Title\n\nAnswers questions about law. And more.', 'Answers questions about law'],
    ['Needs version 1.2 e.g. of this. Then that.', 'Needs version 1.2 e.g. of this'],
    ['| a | b |\n| - | - |\n\n```\ncode here that is long\n```\n\nThe real text.', 'The real text'],
    ['<details>\n\nAll the settings of it.\n\n</details>\n\nWhat it is.', 'What it is'],
    ['[More Information Needed]', undefined],
    ['This model is a fine-tuned version of x on the None dataset.', undefined],
    ['', undefined],
  ])('of %j is %j', (markdown, summary) => {
    expect(firstSentence(markdown)).toBe(summary)
  })

  it('always fits into a manifest, whatever the card holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', size: 'max', maxLength: 1_500 }), (markdown) => {
        const summary = firstSentence(markdown)
        expect(manifestSchema.shape.summary.safeParse(summary ?? '').success).toBe(true)
      }),
    )
  })
})

test('a name is a bare name or none', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
      const name = slug(text)
      expect(name === undefined || manifestSchema.shape.name.safeParse(name).success).toBe(true)
    }),
  )
  expect(slug('Protein Folding (v2)')).toBe('protein-folding-v2')
  expect(slug('Crème brûlée')).toBe('creme-brulee')
  expect(slug('!!!')).toBeUndefined()
})

test('front matter is read in the forms that cards have, and no form of it is an error', () => {
  const { fields, body } = readFrontMatter(
    '---\r\na: [x, "y z"]\r\nb: "q\\"r"\r\nc:\r\n  - 1\r\n  - two\r\nd: |\r\n  t\r\n---\r\nrest',
  )
  expect(Object.fromEntries(fields)).toEqual({ a: ['x', 'y z'], b: ['q"r'], c: ['1', 'two'], d: [] })
  expect(body).toBe('rest')
  expect(readFrontMatter('---\nnever closed').fields.size).toBe(0)
  fc.assert(fc.property(fc.string(), (text) => void readFrontMatter(`---\n${text}\n---\n`)))
})
