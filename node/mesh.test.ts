// The main job between real processes: every node is `lora-mesh up` with its own data folder, key and ports, on loopback.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { communityLink } from '../protocol/index.ts'
import { kit } from '../testing/kit.ts'
import { LocalMesh } from '../testing/local-mesh.ts'
import { aHash } from '../testing/objects.ts'
import type { MeshNode } from '../testing/local-mesh.ts'

const request = 'someone who can write a recipe in the style of a Shakespeare play, with wine pairing'
/** The folders of all meshes of this file, to see at the end that they are gone. */
const folders: string[] = []

async function startMesh(): Promise<LocalMesh> {
  const mesh = await LocalMesh.start()
  folders.push(mesh.folder)
  return mesh
}

const storyBase = kit.path('models/stories260K.gguf')

interface Plan {
  matches: { facet: string; capability: string; release: string; name: string; version: string; score: number }[]
  gaps: { capability: string }[]
  fetch: unknown[]
}
interface Requested {
  plan: Plan
  fetch: { bytes: number; seconds: number; sources: unknown[] }
  assembleMs: number
  persona: string
  lockfile: { releases: [{ sha256: string; bytes: number }] }
}

async function ready(node: MeshNode, flags: readonly string[] = []): Promise<string> {
  const { identity } = await node.run(['init'])
  await node.run(['base', 'add', storyBase])
  await node.up(flags)
  return String(identity)
}

const publish = (node: MeshNode, adapter: string, name: string, summary: string): Promise<Record<string, unknown>> =>
  node.run([
    'publish',
    kit.path('adapters', adapter),
    '--name',
    name,
    '--version',
    '1.0.0',
    '--summary',
    summary,
    '--no-card',
  ])

const ask = async (node: MeshNode, ...flags: string[]): Promise<Requested> =>
  (await node.run(['request', request, ...flags])) as unknown as Requested

async function eventually<T>(look: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const value = await look()
    if (holds(value) || performance.now() > deadline) return value
    await wait(20)
  }
}

const wanted = async (node: MeshNode): Promise<string[]> => {
  const { jobs } = (await node.run(['jobs'])) as { jobs: { capability: string }[] }
  return jobs.map(({ capability }) => capability)
}

describe.skipIf(!kit.present)('a mesh of four nodes (needs the kit)', () => {
  let mesh: LocalMesh
  let [a, b, c, d]: MeshNode[] = []
  let link = ''
  let identities: string[] = []
  let first: Requested

  beforeAll(async () => {
    mesh = await startMesh()
    ;[a, b, c, d] = ['A', 'B', 'C', 'D'].map((name) => mesh.node(name))
    identities = await Promise.all([a!, b!, c!].map((node) => ready(node)))
    link = String((await a!.run(['community', 'create', 'kitchen', '--member', identities[1]!]))['link'])
    await Promise.all([b!, c!].map((node) => node.run(['community', 'follow', link])))
    await publish(a!, 'peft-shakespeare', 'shakespeare', 'writes Shakespearean drama and verse')
    await publish(b!, 'peft-recipes', 'recipes', 'writes cooking recipes')
  }, 120_000)

  afterAll(async () => {
    await mesh[Symbol.asyncDispose]()
  }, 60_000)

  it('finds, fetches and composes both releases for a follower that knew neither, and shows the gap', async () => {
    first = await ask(c!)
    expect(first.plan.matches.map(({ name }) => name).toSorted()).toEqual(['recipes', 'shakespeare'])
    expect(first.plan.gaps.map(({ capability }) => capability)).toEqual(['wine-pairing'])
    expect(first.fetch.bytes).toBeGreaterThan(300_000)
    expect(first.persona).toMatch(/^[0-9a-f]{12}$/)
  }, 60_000)

  it('posts nothing without a yes', async () => {
    expect(await wanted(c!)).toEqual([])
    expect(await wanted(a!)).toEqual([])
  })

  it('posts the gap after a yes as a job that both members see', async () => {
    await ask(c!, '--post-gaps')
    for (const member of [a!, b!]) {
      expect(
        await eventually(
          () => wanted(member),
          (jobs) => jobs.length > 0,
        ),
      ).toEqual(['wine-pairing'])
    }
  }, 60_000)

  it('fetches nothing twice and gives the same persona for the same request', async () => {
    const again = await ask(c!)
    expect(again.fetch.bytes).toBe(0)
    expect(again.persona).toBe(first.persona)
    expect(again.lockfile).toEqual(first.lockfile)
  }, 60_000)

  it('fetches an adapter again that was damaged on the disk, and composes the same persona', async () => {
    const [{ sha256, bytes }] = first.lockfile.releases
    const path = join(c!.data, 'objects', `${sha256}.gguf`)
    const damaged = readFileSync(path)
    damaged[damaged.length - 9]! ^= 1
    writeFileSync(path, damaged)
    const again = await ask(c!)
    expect(again.persona).toBe(first.persona)
    expect(again.fetch.bytes).toBeGreaterThan(bytes)
    expect(await c!.run(['verify'])).toMatchObject({ ok: true, checked: 2 })
  }, 60_000)

  it('chats: the answer streams and ends', async () => {
    const text: string[] = []
    const result = await c!.attempt(['chat', first.persona], {
      stdin: 'Tell me about butter.\n',
      onStdout: (piece) => text.push(piece),
    })
    expect(result.code).toBe(0)
    expect(text.join('').length).toBeGreaterThan(20)
  }, 60_000)

  it('says its identity while it runs', async () => {
    expect(await a!.run(['init'])).toMatchObject({ identity: identities[0], created: false })
  })

  it('refuses a second process on one data folder and names the holder', async () => {
    const second = await a!.attempt(['up', '--port', '0'])
    expect(second.code).not.toBe(0)
    expect(second.json).toMatchObject({ error: { code: 'data-folder-in-use', details: { pid: a!.pid } } })
  }, 30_000)

  it('survives a SIGKILL of the network child and of the engine child, and tells', async () => {
    for (const entry of ['network-child', 'engine-child']) {
      const pid = childOf(b!.pid!, entry)
      expect(pid, entry).toBeDefined()
      process.kill(pid!, 'SIGKILL')
      const fresh = await eventually(
        async () => childOf(b!.pid!, entry),
        (now) => now !== undefined && now !== pid,
      )
      expect(fresh, entry).not.toBe(pid)
    }
    const told = await eventually(
      async () => b!.log,
      (log) => log.split('runs again').length > 2,
    )
    expect(told).toMatch(/network process ended .*SIGKILL/)
    expect(told).toMatch(/engine process ended .*SIGKILL/)
    expect((await ask(b!)).persona).toBe(first.persona)
  }, 90_000)

  it('serves what A published from C after A has left', async () => {
    await a!.stop()
    await ready(d!)
    await d!.run(['community', 'follow', link])
    const result = await ask(d!)
    expect(result.persona).toBe(first.persona)
    expect(result.fetch.bytes).toBe(first.fetch.bytes)
  }, 60_000)

  it('says which bases are needed on a node without one, and goes on after base add', async () => {
    const e = mesh.node('E')
    await e.run(['init'])
    await e.up()
    await e.run(['community', 'follow', link])
    const refused = await e.attempt(['request', request, '--wait-base', '0'])
    expect(refused.code).toBe(2)
    expect(refused.json).toMatchObject({
      error: { code: 'base-missing', details: { bases: [{ label: expect.any(String) }] } },
    })
    const waiting = ask(e)
    await e.run(['base', 'add', storyBase])
    expect((await waiting).persona).toBe(first.persona)
  }, 90_000)
})

describe.skipIf(!kit.present)('finding a release by one way alone (needs the kit)', () => {
  it.each([
    ['the publisher key and a name through BEP 44, log exchange switched off', ['--no-exchange', '--no-noise']],
    ['log exchange and Noise streams, BEP 5 switched off', ['--no-bep5', '--no-tcp']],
  ])(
    'works through %s',
    async (_how, flags) => {
      await using mesh = await startMesh()
      const [publisher, seeker] = [mesh.node('publisher'), mesh.node('seeker')]
      const [identity] = await Promise.all([ready(publisher, flags), ready(seeker, flags)])
      const link = String((await publisher.run(['community', 'create', 'kitchen']))['link'])
      await publish(publisher, 'peft-recipes', 'recipes', 'writes cooking recipes')
      await seeker.run(['community', 'follow', link])
      const text = flags.includes('--no-exchange') ? `${identity}/recipes` : 'cooking recipes'
      const result = (await seeker.run(['request', text, '--any-publisher'])) as unknown as Requested
      expect(result.plan.matches.map(({ name }) => name)).toEqual(['recipes'])
      expect(result.fetch.bytes).toBeGreaterThan(100_000)

      const next = ['--name', 'recipes', '--version', '1.1.0', '--summary', 'writes cooking recipes', '--no-card']
      await publisher.run(['publish', kit.path('adapters', 'peft-pattern'), ...next])
      const newer = await eventually(
        async () => (await seeker.run(['request', text, '--any-publisher'])) as unknown as Requested,
        ({ plan }) => plan.matches[0]?.version === '1.1.0',
      )
      expect(newer.plan.matches.map(({ version }) => version)).toEqual(['1.1.0'])
    },
    120_000,
  )
})

describe.skipIf(!kit.present)('a follower that reaches nobody (needs the kit)', () => {
  it('says so, and posts no gap in a community it does not know yet, whatever it was told', async () => {
    await using mesh = await startMesh()
    const alone = mesh.node('alone')
    await ready(alone)
    const link = communityLink(aHash(5))
    await alone.run(['community', 'follow', link])
    const { code, json, stderr } = await alone.attempt(['request', request, '--post-gaps'])
    expect(code).toBe(2)
    expect(json).toMatchObject({ error: { code: 'nothing-found', details: { jobs: [] } } })
    expect(stderr).toContain(`Nobody of ${link} could be reached`)
    expect(await wanted(alone)).toEqual([])
  }, 60_000)
})

describe.skipIf(!kit.present)('after everything (needs the kit)', () => {
  it('no process and no folder of these meshes is left', () => {
    expect(folders.filter((folder) => existsSync(folder))).toEqual([])
    const processes = execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' }).split('\n')
    expect(processes.filter((line) => folders.some((folder) => line.includes(folder)))).toEqual([])
  })
})

/** The process id of a child whose command line names `entry`. */
function childOf(pid: number, entry: string): number | undefined {
  const rows = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' }).split('\n')
  const row = rows.find((line) => line.includes(entry))
  return row === undefined ? undefined : Number.parseInt(row, 10)
}
