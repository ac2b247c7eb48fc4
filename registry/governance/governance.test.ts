// Governing a community over a mesh in this process: real logs, real signatures, real exchange.
import { describe, expect, test } from 'vitest'
import { defaultRules, sha256, toHex, utf8 } from '../../protocol/index.ts'
import { MemoryMesh } from '../memory-exchange.ts'
import type { Registry } from '../open-registry.ts'
import { aNode, anAuthor, aRelease, baseA, infohashOf } from '../testing/builders.ts'
import type { TestNode } from '../testing/builders.ts'

const alice = anAuthor('alice')
const bob = anAuthor('bob')
const carol = anAuthor('carol')
const dave = anAuthor('dave')
const within = (): AbortSignal => AbortSignal.timeout(10_000)

interface Village extends AsyncDisposable {
  readonly nodes: readonly TestNode[]
  readonly id: Uint8Array
  readonly link: string
}

/** A community of one node per role; all of them follow it, and its admins let their nodes settle. */
async function aVillage(
  mesh: MemoryMesh,
  names: Readonly<Record<string, 'admin' | 'teacher' | 'user'>>,
  rules = defaultRules,
): Promise<Village> {
  const nodes = await Promise.all(Object.keys(names).map((name) => aNode(mesh, name, { author: anAuthor(name) })))
  const [founder, ...others] = nodes
  if (founder === undefined) throw new Error('a village without people')
  const view = founder.registry.createCommunity({
    name: 'village',
    rules,
    members: Object.entries(names).map(([name, role]) => ({ identity: anAuthor(name).identity, role })),
  })
  for (const { name, registry } of others) {
    registry.followCommunity(view.link)
    if (names[name] === 'admin') registry.governance.allowSettling(view.id, true)
  }
  for (const { registry } of others) {
    await registry.until(() => registry.communities()[0]?.state === 'following', within())
  }
  return {
    nodes,
    id: view.id,
    link: view.link,
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node[Symbol.asyncDispose]()
    },
  }
}

const stateOf = (registry: Registry, id: Uint8Array): string => toHex(registry.state(id).stateHash)

async function agreed({ nodes, id }: Village): Promise<void> {
  for (const { registry } of nodes) {
    await registry.until(() => nodes.every((node) => stateOf(node.registry, id) === stateOf(registry, id)), within())
  }
}

describe('an upgrade', () => {
  test('that everybody votes for moves the channel on every node, without waiting for the deadline', async () => {
    await using village = await aVillage(new MemoryMesh(), { alice: 'admin', bob: 'admin', carol: 'user' })
    const { nodes, id } = village
    const [one, two, three] = nodes.map(({ registry }) => registry)
    const release = aRelease(alice, { name: 'biology', version: '1.8.0' })
    one!.publishRelease(release, infohashOf(release))
    const said = one!.governance.propose(id, {
      kind: 'upgrade',
      capability: 'biology',
      base: baseA,
      release: release.releaseId,
    })
    if (said.kind !== 'appended') throw new Error(said.message)
    for (const registry of [one!, two!, three!]) {
      await registry.until(() => registry.governance.proposals(id).length === 1, within())
      registry.governance.vote(id, said.record.id, 'yes')
    }
    for (const registry of [one!, two!, three!]) {
      await registry.until(() => registry.governance.channels(id).length === 1, within())
      expect(toHex(registry.governance.channels(id)[0]!.release)).toBe(toHex(release.releaseId))
    }
    await agreed(village)
    const tally = three!.governance.tally(id, said.record.id)
    expect(tally.count).toEqual({ yes: 3, no: 0, abstain: 0 })
    expect(tally.standing).toMatchObject({ kind: 'settled', outcome: 'accepted' })
  })
})

describe('an invitation', () => {
  test('lets one person in, by a certificate, and no second one', async () => {
    const mesh = new MemoryMesh()
    await using village = await aVillage(mesh, { alice: 'admin', bob: 'user' })
    const { nodes, id } = village
    const code = nodes[1]!.registry.governance.invite(id).code
    await using newcomer = await aNode(mesh, 'carol', { author: carol })
    await using late = await aNode(mesh, 'dave', { author: dave })
    newcomer.registry.joinCommunity(code)
    await newcomer.registry.until(() => newcomer.registry.communities()[0]?.state === 'following', within())
    const isMember = (registry: Registry, identity: Uint8Array): boolean =>
      registry.governance.members(id).some((member) => toHex(member.identity) === toHex(identity))
    await newcomer.registry.until(() => isMember(newcomer.registry, carol.identity), within())
    late.registry.joinCommunity(code)
    await late.registry.until(() => late.registry.communities()[0]?.state === 'following', within())
    await late.registry.until(() => isMember(late.registry, carol.identity), within())
    expect(isMember(late.registry, dave.identity)).toBe(false)
    const [member] = newcomer.registry.governance.members(id).filter(({ own }) => own)
    expect(toHex(member!.inviter!)).toBe(toHex(bob.identity))
  })
})

test('a suite travels in the log and is the same bytes everywhere', async () => {
  await using village = await aVillage(new MemoryMesh(), { alice: 'admin', bob: 'user' })
  const { nodes, id } = village
  const questions = utf8('{"prompt": "Q: Where?", "answer": "There."}\n')
  nodes[0]!.registry.governance.shareSuite(id, questions)
  const other = nodes[1]!.registry
  await other.until(() => other.governance.suite(id, sha256(questions)) !== undefined, within())
  expect(other.governance.suite(id, sha256(questions))).toEqual(questions)
})
