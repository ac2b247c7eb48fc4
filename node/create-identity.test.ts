import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { aManifest } from '../testing/objects.ts'
import { signManifest } from '../protocol/index.ts'
import type { AppendResult } from '../registry/index.ts'
import { dataPaths } from './data-folder.ts'
import { aNodeIn } from './testing/node-in-folder.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

/** What a node in this data folder answers when it announces a release. */
async function announced(root: string): Promise<AppendResult['kind']> {
  await using node = await aNodeIn(root)
  const { author } = node.options.keys
  return node.registry.publishRelease(signManifest(aManifest({}, author), author), new Uint8Array(20)).kind
}

describe('an identity', () => {
  it('that was made here signs at once, also after a restart', async () => {
    await using folder = await temporaryFolder()
    expect(await announced(folder.path)).toBe('appended')
    expect(await announced(folder.path)).toBe('appended')
  })

  it('whose keys were restored into another folder waits for a peer that knows what it said', async () => {
    await using folder = await temporaryFolder()
    const [first, second] = [join(folder.path, 'first'), join(folder.path, 'second')]
    await announced(first)
    await cp(dataPaths(first).keys, dataPaths(second).keys, { recursive: true })
    expect(await announced(second)).toBe('pending')
  })

  it('whose registry was lost waits as well', async () => {
    await using folder = await temporaryFolder()
    await announced(folder.path)
    for (const suffix of ['', '-wal', '-shm']) await rm(`${dataPaths(folder.path).registry}${suffix}`, { force: true })
    expect(await announced(folder.path)).toBe('pending')
  })
})
