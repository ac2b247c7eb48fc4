// What this node is to measure: the open upgrades of its communities; which of them it can measure now, and which releases it lacks for the
// others.
import { toHex } from '../../protocol/index.ts'
import type { CatalogueEntry, ProposalView } from '../../registry/index.ts'
import type { KnownBase } from '../base-store.ts'
import type { Node } from '../create-node.ts'
import { baseOf, canMeasure, comparisonOf } from './measure-proposal.ts'
import type { Comparison, ComparingNode } from './measure-proposal.ts'

export type MeasuringNode = ComparingNode & Pick<Node, 'options'>

/** For so many open upgrades of one proposer releases are fetched: whoever proposes without end must not fill everybody's disk. */
export const fetchedPerProposer = 4

/** The oldest one that this node can measure and has not. `done`: those it tried, by `comparisonKey`. */
export function nextComparison(node: MeasuringNode, done: ReadonlySet<string>): Comparison | undefined {
  return openUpgrades(node, done)
    .map(({ comparison }) => comparison)
    .find((comparison) => canMeasure(node, comparison))
}

export interface MissingRelease {
  readonly entry: CatalogueEntry
  readonly base: KnownBase
}

/** Releases that this node lacks to measure an open upgrade: only where it has the base and the questions. The oldest proposal's first. */
export function missingReleases(node: MeasuringNode, done: ReadonlySet<string>): MissingRelease[] {
  const taken = Map.groupBy(openUpgrades(node, done), ({ proposal }) => toHex(proposal.author))
  return [...taken.values()]
    .flatMap((ofProposer) => ofProposer.slice(0, fetchedPerProposer))
    .toSorted(oldestFirst)
    .flatMap(({ comparison }) => missingFor(node, comparison))
}

function missingFor(node: MeasuringNode, { community, release, against, suite }: Comparison): MissingRelease[] {
  const base = baseOf(node, release)
  if (base === undefined || node.registry.governance.suite(community, suite) === undefined) return []
  return [release, ...(against === undefined ? [] : [against])]
    .filter((id) => node.releases.get(toHex(id)) === undefined)
    .flatMap((id) => node.registry.release(id) ?? [])
    .map((entry) => ({ entry, base }))
}

interface OpenUpgrade {
  readonly proposal: ProposalView
  readonly comparison: Comparison
}

/** The oldest first. */
function openUpgrades(node: MeasuringNode, done: ReadonlySet<string>): OpenUpgrade[] {
  return node.registry
    .communities()
    .filter(({ id, state }) => state === 'following' && isMember(node, id))
    .flatMap(({ id }) => node.registry.governance.proposals(id))
    .flatMap((proposal) => openUpgrade(node, proposal) ?? [])
    .filter(({ proposal, comparison }) => !done.has(comparisonKey(comparison)) && !wasReported(node, proposal))
    .toSorted(oldestFirst)
}

function openUpgrade(node: MeasuringNode, proposal: ProposalView): OpenUpgrade | undefined {
  const comparison = proposal.standing.kind === 'open' ? comparisonOf(node, proposal) : undefined
  return comparison && { proposal, comparison }
}

function oldestFirst(a: OpenUpgrade, b: OpenUpgrade): number {
  return a.proposal.time - b.proposal.time
}

function isMember({ registry }: MeasuringNode, community: Uint8Array): boolean {
  return registry.governance.members(community).some(({ own }) => own)
}

function wasReported({ registry, options }: MeasuringNode, { community, id }: ProposalView): boolean {
  const self = toHex(options.keys.author.identity)
  return registry.governance.tally(community, id).receipts.some(({ author }) => toHex(author) === self)
}

/** The same for proposals that ask for the same comparison. */
export function comparisonKey({ community, release, against, suite }: Comparison): string {
  return [community, release, against ?? new Uint8Array(), suite].map(toHex).join(' ')
}
