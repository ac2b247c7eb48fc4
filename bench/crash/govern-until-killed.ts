// A process to be killed: two admins of one community, each with the real registry over a file of its own, say one thing after the other
// and tell of each, on standard output and only after the call returned, that it was taken. What was begun and not told before the process
// died is said again by the next one, as a user would.
// Usage: node govern-until-killed.ts FOLDER FIRST_STATEMENT [STATEMENTS]; without a number it goes on until it is killed.
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { bytesEqual, sha256, toHex, utf8 } from '../../protocol/index.ts'
import type { ProposedAction, RecordBody } from '../../protocol/index.ts'
import { MemoryMesh } from '../../registry/index.ts'
import type { AppendResult, ProposalView, Registry } from '../../registry/index.ts'
import { aNode, aRelease, anAuthor, baseA, identityOf, infohashOf } from '../../registry/testing/builders.ts'
import type { TestNode } from '../../registry/testing/builders.ts'
import { acknowledgementLine, databaseOf, people, statementsPerVersion } from './acknowledgement.ts'
import type { Acknowledged, Person } from './acknowledgement.ts'

const [folder, first, statements] = process.argv.slice(2)
if (folder === undefined || first === undefined) throw new Error('usage: govern-until-killed FOLDER FIRST [STATEMENTS]')
// Both are in this process: whoever is there answers at once.
const paceMs = 50
/** As connections do everywhere, theirs breaks now and then. */
const reconnectMs = 300

// Only here, to show that the trace notices: a database that promises more than it keeps.
if (process.env['CRASH_WITHOUT_SYNC'] === '1') forgetToSync()
/** However often they are killed. */
const neverAmongHonest = new Set(['fork', 'delegate-misbehaved', 'peer-broke-rules', 'failed'])
const mesh = new MemoryMesh()
const nodes = Object.fromEntries(await Promise.all(people.map(open))) as Record<Person, TestNode>
const registries = { alice: nodes.alice.registry, bob: nodes.bob.registry }
const { alice, bob } = registries
// Who was killed after it handed its log over, before the other had it, waits to be told of it, and that comes with the next greeting.
setInterval(meetAnew, reconnectMs)
const community = await meet()

const beyond = statements === undefined ? Number.POSITIVE_INFINITY : Number(first) + Number(statements)
for (let n = Number(first); n < beyond; n++) await say(n)
// Nothing more is said; the process ends here, not when everything has become quiet.
if (statements !== undefined) process.exit(0)

async function open(name: Person): Promise<[Person, TestNode]> {
  const path = join(folder!, databaseOf(name))
  const node = await aNode(mesh, name, { author: anAuthor(name), path, paceMs })
  node.registry.onEvent(({ kind }) => {
    if (neverAmongHonest.has(kind)) throw new Error(`${name}: ${kind}`)
  })
  return [name, node]
}

function meetAnew(): void {
  mesh.cut(nodes.alice.network, nodes.bob.network)
  mesh.heal()
}

/** Both are in the community and settle; also where an earlier process was killed on its way there. */
async function meet(): Promise<Uint8Array> {
  const members = [{ identity: identityOf('bob'), role: 'admin' as const }]
  const view = alice.communities()[0] ?? alice.createCommunity({ name: 'village', members })
  bob.followCommunity(view.link)
  for (const registry of [alice, bob]) {
    await registry.until(() => registry.communities()[0]?.state === 'following')
    registry.governance.allowSettling(view.id, true)
  }
  return view.id
}

async function say(n: number): Promise<void> {
  const version = Math.floor(n / statementsPerVersion)
  const release = aRelease(anAuthor('alice'), { name: 'biology', version: `1.0.${version}` })
  const { releaseId } = release
  switch (n % statementsPerVersion) {
    case 0:
      return told(n, 'alice', () => alice.publishRelease(release, infohashOf(release)))
    case 1:
      return told(n, 'alice', () => alice.governance.propose(community, upgradeTo(releaseId)))
    case 2:
      return told(n, 'alice', () => alice.governance.reportEvaluation(community, measured(releaseId, version)))
    case 3: {
      const { id } = await proposed(bob, releaseId)
      return told(n, 'bob', () => bob.governance.comment(community, id, `what I think of ${version}`))
    }
    case 4:
      return vote(n, 'alice', releaseId, 'no')
    case 5:
      return vote(n, 'alice', releaseId, 'yes')
    case 6:
      return vote(n, 'bob', releaseId, 'yes')
    default:
      for (const who of people) await decided(n, who, releaseId)
  }
}

async function vote(n: number, who: Person, release: Uint8Array, choice: 'yes' | 'no'): Promise<void> {
  const { id, standing } = await proposed(registries[who], release)
  // A killed process may have said this, not told of it, and the decision came: then nobody votes any more.
  if (standing.kind !== 'open') return
  return told(n, who, () => registries[who].governance.vote(community, id, choice))
}

async function decided(n: number, who: Person, release: Uint8Array): Promise<void> {
  const { standing } = await proposed(registries[who], release, ({ standing }) => standing.kind === 'settled')
  if (standing.kind === 'settled') tell({ n, who, certificate: toHex(standing.certificate) })
}

async function proposed(
  registry: Registry,
  release: Uint8Array,
  fits: (proposal: ProposalView) => boolean = () => true,
): Promise<ProposalView> {
  const find = (): ProposalView | undefined =>
    registry.governance
      .proposals(community)
      .find((one) => one.action.kind === 'upgrade' && bytesEqual(one.action.release, release) && fits(one))
  await registry.until(() => find() !== undefined)
  return find()!
}

function told(n: number, who: Person, act: () => AppendResult): void {
  const result = act()
  const [body, type] =
    result.kind === 'appended'
      ? [result.record.body, result.record.fields.type]
      : [result.pending.body, result.pending.type]
  const what = { type, body: createHash('sha256').update(body).digest('hex') }
  tell({ n, who, ...what, ...(result.kind === 'appended' ? { record: toHex(result.record.id) } : {}) })
}

function tell(acknowledged: Acknowledged): void {
  writeSync(1, acknowledgementLine(acknowledged))
}

function upgradeTo(release: Uint8Array): ProposedAction {
  const current = alice.governance.channels(community)[0]?.release
  return { kind: 'upgrade', capability: 'biology', base: baseA, release, ...(current === undefined ? {} : { current }) }
}

function measured(release: Uint8Array, version: number): RecordBody<'evaluation/1'> {
  const [suite, file] = [sha256(utf8('suite')), sha256(utf8('file'))]
  const shares = { value: 500_000, valueError: 1, againstValue: 400_000, standardError: 1 }
  return { release, suite, file, metric: 'accuracy', n: 100 + version, ...shares }
}

function forgetToSync(): void {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
  const { exec } = DatabaseSync.prototype
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
    exec.call(this, sql.replace('synchronous = FULL', 'synchronous = OFF'))
  }
}
