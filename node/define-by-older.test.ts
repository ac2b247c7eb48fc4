import { copyFile, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { suiteText } from '../assembler/index.ts'
import { adaptersOf, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed, heldOutSuite } from '../fixtures/world/world.ts'
import { applyPatch } from '../model-files/index.ts'
import { publishRelease } from './publish-release.ts'
import { draftRelease, publishDraft } from './release-drafts.ts'
import { draftFolder } from './stage-adapter.ts'
import { aContext, aPublisher, aWish, aWorldPublisher, anAdapterFile, publish } from './testing/publishing-node.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const suites = [join(worldFolder, 'biology.suite.jsonl')]
const probe = heldOutSuite(capabilityNamed('biology')).map(suiteText).slice(0, 8)
const [, older, newer] = adaptersOf(capabilityNamed('biology')).map(({ file }) => join(worldFolder, file))

test('a version is published as the last one plus few bits where the suite shows no loss, and its patch makes exactly that', async () => {
  await using folder = await temporaryFolder()
  await using node = await aWorldPublisher(folder.path)
  const first = await publish(node, { path: older!, name: 'biology', version: '1.7.0', probe })
  const notes: unknown[] = []
  const wish = aWish({ path: newer!, name: 'biology', version: '1.8.0', suites, probe, deltaBits: 'auto' })
  const { draft } = await draftRelease(
    node,
    wish,
    aContext(({ type, text }) => type === 'note' && notes.push(text)),
  )
  expect(notes.at(-1)).toMatch(
    /^With differences of \d bits \d+\.\d % instead of \d+\.\d % are right; an upgrade costs \d+/,
  )

  const patchPath = join(folder.path, 'patch')
  await copyFile(join(draftFolder(node, draft), 'upgrade.patch'), patchPath)
  await publishDraft(node, draft, aContext())
  const { signed, paths } = node.releases.get(draft)!
  const out = join(folder.path, 'rebuilt.gguf')
  const oldPath = node.releases.get(first.releaseId)!.paths.adapter
  await applyPatch({ oldPath, patchPath, out, expected: signed.manifest.adapter })
  expect(await readFile(out)).toEqual(await readFile(paths.adapter))
  expect(await readFile(out)).not.toEqual(await readFile(newer!))
  expect(signed.manifest.evaluations).toHaveLength(1)
  expect(await readdir(node.options.paths.staging)).toEqual([])
})

test('what too few bits lose is told, refused where they were asked for, and avoided where the number is free', async () => {
  await using folder = await temporaryFolder()
  await using node = await aWorldPublisher(folder.path)
  // Far from the adapter that follows, so that two bits are too coarse.
  const unlike = await anAdapterFile(node, folder.path, 'unlike.gguf', 8)
  await publish(node, { path: unlike, name: 'biology' })
  const notes: string[] = []
  const context = aContext(({ type, text }) => type === 'note' && notes.push(String(text)))
  const wish = aWish({ path: newer!, name: 'biology', version: '1.1.0', suites, probe })
  await expect(publishRelease(node, { ...wish, deltaBits: 2 }, context)).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining('Differences of 2 bits lose too much'),
  })
  expect(node.releases.list()).toHaveLength(1)
  notes.length = 0
  await publishRelease(node, { ...wish, deltaBits: 'auto' }, context)
  expect(notes.map((note) => /of (\d) bits/.exec(note)?.[1])).toEqual(['2', '3'])
})

test('few bits are refused where there is nothing to take a difference from, or nothing that shows what is lost', async () => {
  await using folder = await temporaryFolder()
  await using node = await aPublisher(folder.path)
  const path = await anAdapterFile(node, folder.path)
  await expect(publish(node, { path, suites, deltaBits: 4 })).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining('holds no version of x below 1.0.0'),
  })
  await publish(node, { path })
  await expect(publish(node, { path, version: '1.0.1', deltaBits: 4 })).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringContaining('Without a suite'),
  })
})
