import { expect, test } from 'vitest'
import { fromHex, signManifest, utf8 } from '../../protocol/index.ts'
import type { ProposedAction, SignedManifest } from '../../protocol/index.ts'
import { aManifest } from '../../testing/objects.ts'
import { addBase, nodeParts } from '../testing/node-parts.ts'
import type { NodeParts } from '../testing/node-parts.ts'
import { comparisonOf } from './measure-proposal.ts'
import { comparisonKey, fetchedPerProposer, missingReleases, nextComparison } from './open-comparisons.ts'

const questions = utf8('{"prompt": "Q: Where?", "answer": "There."}\n')

/** A community of this node alone that measures biology. */
async function measuringCommunity({ registry }: NodeParts): Promise<Uint8Array> {
  const { governance } = registry
  const { id } = registry.createCommunity({ name: 'kitchen' })
  governance.allowSettling(id, true)
  const { suite } = governance.shareSuite(id, questions)
  governance.vote(id, propose({ registry }, id, { kind: 'suite', capability: 'biology', suite }), 'yes')
  await registry.until(() => governance.chain(id).suites.size === 1, AbortSignal.timeout(20_000))
  return id
}

function propose({ registry }: Pick<NodeParts, 'registry'>, community: Uint8Array, action: ProposedAction): Uint8Array {
  const said = registry.governance.propose(community, action)
  if (said.kind !== 'appended') throw new Error(said.message)
  return said.record.id
}

function announce({ registry, options }: NodeParts, baseId: string, version: string): SignedManifest {
  const { author } = options.keys
  const base = { id: fromHex(baseId), tokenizer: new Uint8Array(32), label: 'tiny llama', evaluatedOn: [] }
  const signed = signManifest(aManifest({ name: 'biology', version, base }, author), author)
  registry.publishRelease(signed, signed.releaseId.slice(0, 20))
  return signed
}

const upgradeTo = ({ releaseId, manifest: { base } }: SignedManifest, current?: SignedManifest): ProposedAction => ({
  kind: 'upgrade',
  capability: 'biology',
  base: base.id,
  release: releaseId,
  ...(current === undefined ? {} : { current: current.releaseId }),
})

const versionsOf = (missing: ReturnType<typeof missingReleases>): string[] =>
  missing.map(({ entry }) => entry.manifest.version)

test('both releases of an open upgrade are missing until they are here, and nothing is where the base is not', async () => {
  await using node = await nodeParts()
  const id = await measuringCommunity(node)
  const { id: baseId, label } = await addBase(node)
  const [current, proposed] = ['1.0.0', '1.1.0'].map((version) => announce(node, baseId, version))
  expect(missingReleases(node, new Set())).toEqual([])
  const proposal = propose(node, id, upgradeTo(proposed!, current))
  expect(versionsOf(missingReleases(node, new Set()))).toEqual(['1.1.0', '1.0.0'])
  expect(missingReleases(node, new Set())[0]!.base.id).toBe(baseId)
  expect(nextComparison(node, new Set())).toBeUndefined()

  const comparison = comparisonOf(node, node.registry.governance.tally(id, proposal))!
  expect(missingReleases(node, new Set([comparisonKey(comparison)]))).toEqual([])
  await node.bases.remove(label)
  expect(missingReleases(node, new Set())).toEqual([])
})

test('of a proposer without end only the oldest proposals are fetched for', async () => {
  await using node = await nodeParts()
  const id = await measuringCommunity(node)
  const { id: baseId } = await addBase(node)
  const releases = Array.from({ length: fetchedPerProposer + 3 }, (_, minor) => announce(node, baseId, `1.${minor}.0`))
  for (const release of releases) propose(node, id, upgradeTo(release))
  expect(missingReleases(node, new Set())).toHaveLength(fetchedPerProposer)
})

test('what no suite measures is not fetched', async () => {
  await using node = await nodeParts()
  const { id } = node.registry.createCommunity({ name: 'kitchen' })
  const { id: baseId } = await addBase(node)
  propose(node, id, upgradeTo(announce(node, baseId, '1.0.0')))
  expect(missingReleases(node, new Set())).toEqual([])
})
