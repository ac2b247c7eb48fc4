// Kills a whole node, `lora-mesh up` with all its processes, while it is asked over HTTP to publish, propose, comment and vote, and looks
// after every start at what it still knows.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isMeshError } from '../../protocol/index.ts'
import { inspectBase, randomAdapter, randomBase } from '../../model-files/index.ts'
import { httpClient } from '../../node/http/index.ts'
import type { HttpClient } from '../../node/http/index.ts'
import { Dice } from '../../registry/agreement/testing/dice.ts'
import { LocalMesh } from '../../testing/local-mesh.ts'
import type { MeshNode } from '../../testing/local-mesh.ts'

export interface NodeToll {
  readonly kills: number
  /** Answers of the node, each with something that must never be lost. */
  readonly answers: number
  readonly decisions: number
  /** Versions that can't be published any more, and were not: the node was killed between keeping and announcing them. */
  readonly versionsBurnt: number
  readonly problems: readonly string[]
}

const releases = z.object({ releases: z.array(z.object({ releaseId: z.string(), version: z.string() })) })
const proposal = z.object({
  id: z.string(),
  state: z.string(),
  ownBallot: z.string().optional(),
  comments: z.array(z.object({ text: z.string() })),
})
const tally = z.object({ proposal })
const made = z.object({ proposal: proposal.pick({ id: true }) })
const listed = z.object({ proposals: z.array(proposal.pick({ id: true })) })
const chain = z.object({ certificates: z.array(z.object({ certificate: z.string() })) })
const published = z.object({ releaseId: z.string() })

/** What the node knows, as it tells over HTTP. */
interface Known {
  readonly releases: z.infer<typeof releases>['releases']
  readonly proposals: readonly z.infer<typeof proposal>[]
  readonly certificates: readonly string[]
}

/** What the node answered so far. */
interface Answered {
  readonly releases: Map<string, string>
  readonly proposals: Set<string>
  readonly comments: Map<string, string>
  readonly votes: Set<string>
  certificates: readonly string[]
  versionsBurnt: number
}

const name = 'biology'
const mostAnswers = 6
const requestMs = 400

export async function killNode(kills: number, seed: number): Promise<NodeToll> {
  const dice = new Dice(seed)
  await using mesh = await LocalMesh.start()
  const node = mesh.node('alice')
  const adapter = await prepare(node, mesh.folder)
  const answered = nothingYet()
  const problems: string[] = []
  for (let life = 0; life <= kills; life++) {
    const client = await start(node)
    if (life === 0) await client.call('POST', '/v1/communities', { name: 'village' })
    const known = await lookAround(client)
    problems.push(...whatIsWrong(answered, known).map((problem) => `after kill ${life}: ${problem}`))
    answered.certificates = known.certificates
    if (life < kills) await askUntilKilled(node, client, { adapter, answered, known, dice })
  }
  const { certificates, versionsBurnt } = answered
  const answers = [answered.releases, answered.proposals, answered.comments, answered.votes]
  const kept = answers.reduce((sum, { size }) => sum + size, 0)
  return { kills, answers: kept, decisions: certificates.length, versionsBurnt, problems }
}

function nothingYet(): Answered {
  return {
    releases: new Map(),
    proposals: new Set(),
    comments: new Map(),
    votes: new Set(),
    certificates: [],
    versionsBurnt: 0,
  }
}

/** Returns the path of an adapter to publish. */
async function prepare(node: MeshNode, folder: string): Promise<string> {
  const [base, adapter] = [join(folder, 'base.gguf'), join(folder, 'adapter.gguf')]
  await randomBase({ layers: 1, width: 32, heads: 2, feedForward: 32 }, base)
  await randomAdapter(await inspectBase(base), { rank: 1 }, adapter)
  await node.run(['init'])
  await node.run(['base', 'add', base])
  return adapter
}

async function start(node: MeshNode): Promise<HttpClient> {
  const { url } = await node.up(['--offline'])
  return httpClient(String(url), (await readFile(join(node.data, 'token'), 'utf8')).trim())
}

async function lookAround(client: HttpClient): Promise<Known> {
  const get = (path: string, input = {}): Promise<unknown> => client.call('GET', `/v1/${path}`, input)
  const { proposals } = listed.parse(await get('communities/village/proposals', { all: true }))
  const tallies = await Promise.all(proposals.map(async ({ id }) => tally.parse(await get(`proposals/${id}`)).proposal))
  const { certificates } = chain.parse(await get('communities/village/certificates'))
  return {
    ...releases.parse(await get('releases')),
    proposals: tallies,
    certificates: certificates.map(({ certificate }) => certificate),
  }
}

function whatIsWrong(answered: Answered, known: Known): string[] {
  const proposals = new Map(known.proposals.map((proposal) => [proposal.id, proposal]))
  const holding = (version: string, id: string): number =>
    known.releases.filter((release) => release.version === version || release.releaseId === id).length
  return [
    ...[...answered.releases].flatMap(([version, id]) => amiss(`release ${version}`, holding(version, id))),
    ...[...answered.proposals].flatMap((id) => amiss(`proposal ${id}`, proposals.has(id) ? 1 : 0)),
    ...[...answered.comments].flatMap(([id, text]) =>
      amiss(`"${text}"`, proposals.get(id)?.comments.filter((comment) => comment.text === text).length ?? 0),
    ),
    ...[...answered.votes].flatMap((id) => amiss(`vote on ${id}`, proposals.get(id)?.ownBallot === 'yes' ? 1 : 0)),
    ...answered.certificates.flatMap((id, i) => amiss(`certificate ${id}`, known.certificates[i] === id ? 1 : 0)),
    // Who is alone decides by its vote: at the latest when the node starts again.
    ...[...answered.votes].flatMap((id) => amiss(`decision on ${id}`, proposals.get(id)?.state === 'accepted' ? 1 : 0)),
  ]
}

function amiss(what: string, times: number): string[] {
  return times === 1 ? [] : [`${what} is there ${times} times`]
}

interface Life {
  readonly adapter: string
  readonly answered: Answered
  readonly known: Known
  readonly dice: Dice
}

/** Goes on where the life before ended; a request that dies with the node is none. */
async function askUntilKilled(node: MeshNode, client: HttpClient, life: Life): Promise<void> {
  const dying = Promise.withResolvers<void>()
  const { dice } = life
  const [answers, laterMs] = [dice.below(mostAnswers + 1), dice.below(requestMs)]
  const die = (): void => void setTimeout(() => node.kill().then(dying.resolve, dying.reject), laterMs)
  if (answers === 0) die()
  try {
    const coming = conversation(client, life)
    for (let count = 1; ; count++) {
      await coming.next()
      if (count === answers) die()
    }
  } catch (error) {
    if (!isMeshError(error, 'not-reachable')) throw error
  }
  await dying.promise
}

/** Publishes, proposes, comments, votes, on and on. Yields when an answer came, after it was noted. */
async function* conversation(client: HttpClient, { adapter, answered, known }: Life): AsyncGenerator<void, never> {
  const open = known.proposals.find(({ state }) => state === 'open')
  if (open !== undefined) yield* discuss(client, open.id, answered)
  for (let nth = known.releases.length + answered.versionsBurnt; ; nth++) {
    const version = `1.0.${nth}`
    const releaseId = await publish(client, adapter, version)
    if (releaseId === undefined) {
      answered.versionsBurnt++
      continue
    }
    answered.releases.set(version, releaseId)
    yield
    const upgrade = { proposal: { kind: 'upgrade', release: `${name}@${version}` } }
    const { id } = made.parse(await client.call('POST', '/v1/communities/village/proposals', upgrade)).proposal
    answered.proposals.add(id)
    yield
    yield* discuss(client, id, answered)
  }
}

/** Undefined where the version is taken, though nobody was told of it. */
async function publish(client: HttpClient, path: string, version: string): Promise<string | undefined> {
  const wish = { path, name, version, summary: 'answers questions', licence: 'MIT' }
  try {
    return published.parse(await client.call('POST', '/v1/releases', wish)).releaseId
  } catch (error) {
    if (isMeshError(error, 'version-taken')) return undefined
    throw error
  }
}

async function* discuss(client: HttpClient, id: string, answered: Answered): AsyncGenerator<void> {
  const text = `about ${id.slice(0, 12)}`
  await client.call('POST', `/v1/proposals/${id}/comments`, { text })
  answered.comments.set(id, text)
  yield
  await client.call('POST', `/v1/proposals/${id}/ballots`, { choice: 'yes' })
  answered.votes.add(id)
  yield
}
