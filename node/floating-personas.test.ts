// Personas over time, between real processes: one node publishes, the other has personas that follow or stay, and its commands tell.
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, baseFile, worldFolder } from '../fixtures/world-files.ts'
import { capabilityNamed } from '../fixtures/world/world.ts'
import { LocalMesh, runCommand } from '../testing/local-mesh.ts'
import type { MeshNode } from '../testing/local-mesh.ts'

const commandLine = fileURLToPath(new URL('./cli/main.ts', import.meta.url))
const biology = capabilityNamed('biology')
const [oldest, , newest] = adaptersOf(biology)

interface ListedPersona {
  readonly id: string
  readonly releases: readonly string[]
  readonly follows: string
  readonly successor?: string
}

describe('a node with personas that float and one that stays', () => {
  let mesh: LocalMesh
  let [publisher, owner]: MeshNode[] = []
  let [stays, floats, moved]: string[] = []
  let oldLockfile: Buffer

  beforeAll(async () => {
    mesh = await LocalMesh.start()
    ;[publisher, owner] = ['publisher', 'owner'].map((name) => mesh.node(name))
    await Promise.all([publisher!, owner!].map(ready))
    const { link } = await publisher!.run(['community', 'create', 'island'])
    await owner!.run(['community', 'follow', String(link)])
    await publish(oldest!.version)
    stays = String((await owner!.run(['request', 'biology and stamps', '--locked']))['persona'])
    floats = String((await owner!.run(['request', 'biology']))['persona'])
    oldLockfile = await readFile(lockfileOf(floats))
  }, 240_000)

  afterAll(() => mesh[Symbol.asyncDispose](), 60_000)

  it('prints a lockfile byte for byte as it lies on the disk', async () => {
    const printed = await runCommand(['lock', floats!, '--data', owner!.data])
    expect(printed.stdout).toBe(oldLockfile.toString())
    expect(await owner!.run(['outdated'])).toEqual({ outdated: [] })
  }, 120_000)

  it('goes on with the upgraded persona at the next turn of an open chat, and announces it', async () => {
    await using chat = openChat(floats!)
    await chat.say('What is bark?')
    await publish(newest!.version)
    const { successor } = await persona(floats!, (one) => one.successor !== undefined)
    moved = successor
    await chat.say('What is sap?')
    expect(chat.told()).toContain(
      `This persona was upgraded and is now ${moved}: biology ${oldest!.version} -> ${newest!.version}.`,
    )
  }, 240_000)

  it('keeps the old lockfile, moves only what floats, and lets the new one float on', async () => {
    expect(await readFile(lockfileOf(floats!))).toEqual(oldLockfile)
    expect(await persona(moved!)).toMatchObject({ follows: 'float', releases: [`biology@${newest!.version}`] })
    expect(await persona(stays!)).toMatchObject({ follows: 'stay', releases: [`biology@${oldest!.version}`] })
    expect(owner!.log).toContain(`Persona ${floats!} is now ${moved!}: biology`)
  }, 120_000)

  it('says of the one that stays that it is behind, and exits 1; of the one that moved nothing, and exits 0', async () => {
    const { code, json } = await owner!.attempt(['outdated'])
    expect({ code, json }).toMatchObject({
      code: 1,
      json: { outdated: [{ persona: stays, name: 'biology', current: oldest!.version, latest: newest!.version }] },
    })
    expect(await owner!.run(['outdated', moved!])).toEqual({ outdated: [] })
    expect(await owner!.run(['why', 'biology', '--persona', stays!])).toMatchObject({ latest: newest!.version })
    expect(await owner!.run(['update'])).toEqual({ moved: [], waiting: [] })
    expect((await owner!.attempt(['update', stays!])).json).toMatchObject({ error: { code: 'bad-input' } })
  }, 120_000)

  it('tells what differs between the two releases, and between the two personas', async () => {
    const releases = await owner!.run(['diff', `biology@${oldest!.version}`, `biology@${newest!.version}`])
    expect(releases).toMatchObject({ kind: 'releases', same: false, adapter: { all: { kind: 'all' } } })
    expect(await owner!.run(['diff', floats!, moved!])).toMatchObject({
      kind: 'personas',
      releases: [{ name: 'biology', a: { version: oldest!.version }, b: { version: newest!.version } }],
    })
  }, 120_000)

  it('finds a damaged adapter, moves it aside and fetches it again', async () => {
    const objects = join(owner!.data, 'objects')
    const [name] = await readdir(objects)
    const whole = await readFile(join(objects, name!))
    const damaged = Buffer.from(whole)
    damaged[damaged.length - 9]! ^= 1
    await writeFile(join(objects, name!), damaged)
    expect(await owner!.run(['verify', '--bases'])).toMatchObject({
      ok: true,
      checked: 2,
      broken: [{ kind: 'release', code: 'hash-mismatch', repair: 'fetched' }],
    })
    expect(await readFile(join(objects, name!))).toEqual(whole)
    expect(await readFile(join(owner!.data, 'damaged', name!))).toEqual(damaged)
    expect(await owner!.run(['audit'])).toMatchObject({ ok: true, findings: [] })
  }, 120_000)

  it('hears of a withdrawal with its reason, and goes back; what names the release has it all the same', async () => {
    await publisher!.run(['withdraw', `biology@${newest!.version}`, '--reason', 'mixes up moss and lichen'])
    await persona(floats!, (one) => one.successor === undefined)
    const { code, json } = await owner!.attempt(['audit'])
    // The persona went back by itself: it is told, and nothing has to be done.
    expect({ code, json }).toMatchObject({
      code: 0,
      json: {
        findings: [{ code: 'withdrawn', sentence: expect.stringContaining('mixes up moss and lichen') }],
      },
    })
    expect(await persona(moved!)).toMatchObject({ successor: floats })
    expect(await owner!.run(['lock', moved!])).toMatchObject({ persona: moved })
    expect(await owner!.run(['why', 'biology', '--persona', moved!])).toMatchObject({
      withdrawn: 'mixes up moss and lichen',
    })
  }, 120_000)

  async function ready(node: MeshNode): Promise<void> {
    await node.run(['init'])
    await node.run(['base', 'add', join(worldFolder, baseFile)])
    await node.up()
  }

  async function publish(version: string): Promise<void> {
    const { file } = adaptersOf(biology).find((adapter) => adapter.version === version)!
    // A copy: a model card is written beside what is published.
    const path = join(mesh.folder, file)
    await copyFile(join(worldFolder, file), path)
    const facts = ['--name', 'biology', '--version', version, '--summary', biology.title, '--licence', 'Apache-2.0']
    const capability = ['--capability', `biology=${biology.description}`]
    const probe = ['--probe', join(worldFolder, 'biology.suite.jsonl')]
    await publisher!.run(['publish', path, ...facts, ...capability, ...probe])
  }

  const lockfileOf = (id: string): string => join(owner!.data, 'personas', `${id}.lock.json`)

  /** Waits until it is as it is wanted. */
  async function persona(id: string, wanted: (one: ListedPersona) => boolean = () => true): Promise<ListedPersona> {
    const deadline = performance.now() + 60_000
    for (;;) {
      const { personas } = (await owner!.run(['ls'])) as { personas?: readonly ListedPersona[] }
      const found = personas?.find((one) => one.id === id)
      if (found !== undefined && wanted(found)) return found
      if (performance.now() > deadline) throw new Error(`${id} is ${JSON.stringify(found)}\n${owner!.log}`)
      await wait(50)
    }
  }

  function openChat(id: string) {
    const words = [commandLine, 'chat', id, '--max-tokens', '8', '--data', owner!.data]
    const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(process.execPath, words, {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const text = { told: '', lines: 0 }
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (text.told += piece))
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text.lines += piece.split('\n').length - 1))
    return {
      told: () => text.told,
      /** Waits for the end of the answer. */
      async say(line: string): Promise<void> {
        const before = text.lines
        child.stdin.write(`${line}\n`)
        while (text.lines <= before) await once(child.stdout, 'data')
      },
      async [Symbol.asyncDispose]() {
        const closed = once(child, 'close')
        child.stdin.end()
        await closed
      },
    }
  }
})
