// A persona handed on by its link, between real processes: the one that opens it follows no community and knows nobody.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, baseFile, worldFolder } from '../../fixtures/world-files.ts'
import { capabilityNamed } from '../../fixtures/world/world.ts'
import { LocalMesh } from '../../testing/local-mesh.ts'
import type { MeshNode } from '../../testing/local-mesh.ts'

const commandLine = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const biology = capabilityNamed('biology')
const chemistry = capabilityNamed('chemistry')

describe('a persona link between two nodes that share nothing else', () => {
  let mesh: LocalMesh
  let [sharer, opener]: MeshNode[] = []
  let [persona, link]: string[] = []

  beforeAll(async () => {
    mesh = await LocalMesh.start()
    ;[sharer, opener] = ['sharer', 'opener'].map((name) => mesh.node(name))
    const questions = await readFile(join(worldFolder, 'biology.suite.jsonl'), 'utf8')
    await writeFile(join(mesh.folder, 'suite.jsonl'), questions.split('\n').slice(0, 5).join('\n'))
    await Promise.all([sharer!, opener!].map((node) => node.run(['init'])))
    await sharer!.run(['base', 'add', join(worldFolder, baseFile)])
    await Promise.all([sharer!, opener!].map((node) => node.up()))
    await publish(biology)
    await publish(chemistry)
    persona = String((await sharer!.run(['request', 'biology and chemistry and stamps']))['persona'])
  }, 240_000)

  afterAll(() => mesh[Symbol.asyncDispose](), 60_000)

  it('is printed on one line, the same every time, with what it shows to others', async () => {
    const shared = await sharer!.attempt(['share', persona!])
    expect(shared.json).toMatchObject({ persona, online: true })
    link = String(shared.json!['link'])
    expect(link).toMatch(/^loramesh:persona:[a-z2-7]{72}$/)
    expect(shared.stderr).toContain('"stamps"')
    expect(await sharer!.run(['share'])).toMatchObject({ persona, link })
    expect(await sharer!.run(['share', '--list'])).toMatchObject({ shared: [{ persona, link }] })
  }, 60_000)

  it('is refused at once when it is mistyped', async () => {
    const typo = link!.slice(0, 40) + (link![40] === 'a' ? 'b' : 'a') + link!.slice(41)
    const refused = await opener!.attempt(['open', typo])
    expect({ code: refused.code, json: refused.json }).toMatchObject({
      code: 2,
      json: { error: { code: 'malformed', message: expect.stringContaining('mistyped') } },
    })
  }, 60_000)

  it('shows what would come, and says which base is missing, before anything is fetched', async () => {
    const refused = await opener!.attempt(['open', link!, '--yes'])
    expect({ code: refused.code, json: refused.json }).toMatchObject({
      code: 2,
      json: { error: { code: 'base-missing', message: expect.stringContaining('base add') } },
    })
    expect(refused.stderr).toMatch(/biology@.* to fetch .*not in a community you follow/)
    expect(await opener!.run(['seed'])).toMatchObject({ seeding: [] })
    await opener!.run(['base', 'add', join(worldFolder, baseFile)])
  }, 120_000)

  it('fetches nothing before a yes', async () => {
    const unasked = await opener!.attempt(['open', link!])
    expect({ code: unasked.code, json: unasked.json }).toMatchObject({
      code: 64,
      json: { error: { code: 'usage', message: expect.stringContaining('--yes') } },
    })
    expect(await opener!.run(['seed'])).toMatchObject({ seeding: [] })
  }, 120_000)

  it('gives the same lockfile, the same stack and the same answer, and stays', async () => {
    const opened = await opener!.run(['open', link!, '--yes'])
    expect(opened).toMatchObject({ persona, already: false, follows: 'stay' })
    expect((opened['fetch'] as { bytes: number }).bytes).toBeGreaterThan(0)
    const own = await sharer!.run(['open', link!])
    expect(own).toMatchObject({ persona, already: true, follows: 'float', fetch: { bytes: 0 } })
    expect(opened['stackHash']).toBe(own['stackHash'])
    expect(opened['stackHash']).toMatch(/^[0-9a-f]{64}$/)
    expect(await lockfileOf(opener!)).toEqual(await lockfileOf(sharer!))
    const [here, there] = await Promise.all([answersOf(opener!), answersOf(sharer!)])
    expect(here).toEqual(there)
    expect(here.answers).toHaveLength(5)
  }, 240_000)

  it('opens again without fetching anything, also while nobody else is there', async () => {
    await sharer!.stop()
    expect(await opener!.run(['open', link!, '--wait', '0'])).toMatchObject({
      persona,
      already: true,
      fetch: { bytes: 0 },
    })
  }, 120_000)

  it('is served on by who opened it; says so when nobody shares it; and is shared again after a restart', async () => {
    const third = mesh.node('third')
    await third.run(['init'])
    await third.run(['base', 'add', join(worldFolder, baseFile)])
    await third.up()
    const lonely = await third.attempt(['open', link!, '--yes', '--wait', '1'])
    expect({ code: lonely.code, json: lonely.json }).toMatchObject({ code: 1, json: { error: { code: 'no-seeder' } } })
    expect(await lookAndStop(third)).toBe(130)
    const waiting = third.run(['open', link!, '--yes', '--wait', '90'])
    expect(await opener!.run(['share', persona!])).toMatchObject({ link })
    expect(await waiting).toMatchObject({ persona, already: false })
    await opener!.run(['share', persona!, '--stop'])
    expect(await opener!.run(['share', '--list'])).toMatchObject({ shared: [] })
    await sharer!.up()
    expect(await sharer!.run(['share', '--list'])).toMatchObject({ online: true, shared: [{ persona, link }] })
  }, 240_000)

  async function publish(capability: typeof biology): Promise<void> {
    const { file, version } = adaptersOf(capability)[0]!
    const { name } = capability
    // A copy: a model card is written beside what is published.
    const path = join(mesh.folder, file)
    await copyFile(join(worldFolder, file), path)
    const facts = ['--name', name, '--version', version, '--summary', capability.title, '--licence', 'Apache-2.0']
    const what = ['--capability', `${name}=${capability.description}`]
    const probe = ['--probe', join(worldFolder, `${name}.suite.jsonl`)]
    await sharer!.run(['publish', path, ...facts, ...what, ...probe])
  }

  /** Ctrl-C while it looks for somebody; the exit code. */
  async function lookAndStop({ data }: MeshNode): Promise<unknown> {
    const words = [commandLine, 'open', link!, '--yes', '--data', data]
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] })
    const closed = once(child, 'close')
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('Looking for')) child.kill('SIGINT')
    })
    const [code] = (await closed) as [unknown]
    return code
  }

  const lockfileOf = (node: MeshNode): Promise<Buffer> => readFile(join(node.data, 'personas', `${persona}.lock.json`))

  /** At temperature 0. */
  async function answersOf(node: MeshNode): Promise<{ answers?: readonly unknown[] }> {
    return node.run(['eval', '--persona', persona!, '--suite', join(mesh.folder, 'suite.jsonl'), '--answers'])
  }
})
