import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { discardDraft, draftRelease, publishDraft } from './release-drafts.ts'
import { draftFolder } from './stage-adapter.ts'
import { aContext, aPublisher, aWish, anAdapterFile } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

test('a draft shows every field, is signed as it was shown, and leaves nothing', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const wish = aWish({
    path,
    name: 'law',
    summary: 'the law',
    trigger: 'counsel:',
    systemPrompt: 'Be brief.\nBe right.',
  })
  const { draft, text } = await draftRelease(node, wish, aContext())
  expect(node.releases.list()).toEqual([])
  expect(node.registry.catalogue()).toEqual([])
  for (const part of ['law@1.0.0', draft, 'the law', 'counsel:', 'Be brief.', 'MIT', '1, from 0 to 2'])
    expect(text).toContain(part)
  const published = await publishDraft(node, draft, aContext())
  expect(published).toMatchObject({ releaseId: draft, state: 'published' })
  const { manifest } = node.releases.list()[0]!.signed
  expect(text).toContain(Buffer.from(manifest.adapter.sha256).toString('hex'))
  expect(manifest.use).toMatchObject({ trigger: 'counsel:', systemPrompt: 'Be brief.\nBe right.' })
  expect(await readdir(node.options.paths.staging)).toEqual([])
  await expect(publishDraft(node, draft, aContext())).rejects.toMatchObject({ code: 'not-found' })
})

test('a draft that was discarded, or changed on the disk, is not signed', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const { draft } = await draftRelease(node, aWish({ path }), aContext())
  const file = join(draftFolder(node, draft), 'manifest-unsigned')
  const bytes = await readFile(file)
  bytes[bytes.indexOf('MIT')] = 'N'.charCodeAt(0)
  await writeFile(file, bytes)
  await expect(publishDraft(node, draft, aContext())).rejects.toMatchObject({ code: 'hash-mismatch' })
  await discardDraft(node, draft)
  await expect(publishDraft(node, draft, aContext())).rejects.toMatchObject({ code: 'not-found' })
  expect(node.releases.list()).toEqual([])
  expect(await readdir(node.options.paths.staging)).toEqual([])
})

test('an adapter that was exchanged after the draft was shown is not published', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const { draft } = await draftRelease(node, aWish({ path }), aContext())
  const [name] = (await readdir(draftFolder(node, draft))).filter((file) => file.endsWith('.gguf'))
  const staged = join(draftFolder(node, draft), name!)
  const bytes = await readFile(staged)
  bytes[bytes.length - 1]! ^= 1
  await writeFile(staged, bytes)
  await expect(publishDraft(node, draft, aContext())).rejects.toMatchObject({ code: 'hash-mismatch' })
  expect(node.releases.list()).toEqual([])
})

test('of a draft whose version was taken meanwhile nothing is kept', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  const drafts = [
    await draftRelease(node, aWish({ path, summary: 'one' }), aContext()),
    await draftRelease(node, aWish({ path, summary: 'another' }), aContext()),
  ]
  await publishDraft(node, drafts[0]!.draft, aContext())
  await expect(publishDraft(node, drafts[1]!.draft, aContext())).rejects.toMatchObject({ code: 'version-taken' })
  expect(node.releases.list().map(({ id }) => id)).toEqual([drafts[0]!.draft])
})
