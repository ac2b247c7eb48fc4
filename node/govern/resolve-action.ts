// From a proposal as people make it to the exact action that is signed: ids in place of names, the release that it is compared with.
import { parseSuite } from '../../assembler/index.ts'
import { MeshError, bytesEqual, fromHex, limits, toHex, utf8 } from '../../protocol/index.ts'
import type { CommunityRules, ProposedAction } from '../../protocol/index.ts'
import type { CatalogueEntry, ChannelView } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import { highestOf } from '../current-release.ts'
import { oneRelease } from '../find-release.ts'
import { channelCourse } from './certificate.ts'
import { oneIdentity, oneMember } from './named-by-hand.ts'
import type { ProposalWish, RulesWish, WishOf } from './proposal-wish.ts'

export type ProposingNode = Pick<Node, 'registry' | 'bases'>

/** Throws `not-found` and `bad-input`. Of a suite the questions are said in the community. */
export function resolveAction(node: ProposingNode, community: Uint8Array, wish: ProposalWish): ProposedAction {
  const { governance } = node.registry
  switch (wish.kind) {
    case 'upgrade':
      return upgrade(node, community, wish)
    case 'rollback':
      return rollback(node, community, wish)
    case 'withdraw':
      return withdrawal(node, community, wish)
    case 'suite':
      return suite(node, community, wish)
    case 'admit':
      return { kind: 'admit', identity: oneIdentity(node.registry, wish.identity), role: wish.role }
    case 'remove':
      return {
        kind: 'remove',
        identity: oneMember(governance.members(community), wish.identity).identity,
        reason: wish.reason,
      }
    case 'rule':
      return { kind: 'rule', rules: rulesWith(governance.chain(community).rules, wish) }
  }
}

export function rulesWith(rules: CommunityRules, wish: RulesWish): CommunityRules {
  return {
    protocol: rules.protocol,
    decision: wish.decision ?? rules.decision,
    quorum: wish.quorum === undefined ? rules.quorum : Math.round(wish.quorum * 1e6),
    votingPeriodMs: wish.votingPeriodMs ?? rules.votingPeriodMs,
    inviterCap: wish.inviterCap ?? rules.inviterCap,
  }
}

// --- Releases

/** What members of the community publish: a channel can hold nothing else. */
function offeredIn({ registry }: ProposingNode, community: Uint8Array): CatalogueEntry[] {
  return registry.catalogue().filter(({ communities }) => communities.some((id) => bytesEqual(id, community)))
}

function upgrade(node: ProposingNode, community: Uint8Array, wish: WishOf<'upgrade'>): ProposedAction {
  const offered = offeredIn(node, community)
  const { releaseId, manifest, withdrawn } = oneRelease(offered, wish.release, "release of this community's members")
  if (withdrawn !== undefined) {
    throw new MeshError('bad-input', `${manifest.name}@${manifest.version} is withdrawn: ${withdrawn}`)
  }
  // A name means releases that are called so: everything that resolves names relies on it.
  const capability = manifest.name
  const base = manifest.base.id
  const current = currentRelease(node, community, offered, { capability, base, release: releaseId })
  return { kind: 'upgrade', capability, base, release: releaseId, ...(current === undefined ? {} : { current }) }
}

/** What the channel holds; without a channel, what the name would mean if the proposed release were not there. */
function currentRelease(
  { registry }: ProposingNode,
  community: Uint8Array,
  offered: readonly CatalogueEntry[],
  { capability, base, release }: Pick<ChannelView, 'capability' | 'base' | 'release'>,
): Uint8Array | undefined {
  const channel = registry.governance
    .channels(community)
    .find((one) => one.capability === capability && bytesEqual(one.base, base))
  if (channel !== undefined) return channel.release
  const others = offered.filter(
    ({ releaseId, manifest }) =>
      manifest.name === capability && bytesEqual(manifest.base.id, base) && !bytesEqual(releaseId, release),
  )
  return highestOf(others, undefined)?.releaseId
}

function withdrawal(
  node: ProposingNode,
  community: Uint8Array,
  { release, capability, reason }: WishOf<'withdraw'>,
): ProposedAction {
  const entry = oneRelease(offeredIn(node, community), release, "release of this community's members")
  const holding = node.registry.governance
    .channels(community)
    .find((channel) => bytesEqual(channel.release, entry.releaseId))
  return {
    kind: 'withdraw',
    capability: capability ?? holding?.capability ?? entry.manifest.name,
    base: entry.manifest.base.id,
    release: entry.releaseId,
    reason,
  }
}

function rollback(node: ProposingNode, community: Uint8Array, wish: WishOf<'rollback'>): ProposedAction {
  const channel = channelFor(node, community, wish)
  const release =
    wish.version === undefined ? releaseBefore(node, community, channel) : heldRelease(node, channel, wish.version)
  const { capability, base } = channel
  return { kind: 'rollback', capability, base, release }
}

function channelFor(
  { registry, bases }: ProposingNode,
  community: Uint8Array,
  { capability, base }: WishOf<'rollback'>,
): ChannelView {
  const named = registry.governance.channels(community).filter((channel) => channel.capability === capability)
  if (named.length === 0) {
    throw new MeshError('not-found', `There is no channel ${capability}: \`lora-mesh channels\` lists them.`, {
      capability,
    })
  }
  const labelOf = ({ release }: ChannelView): string | undefined => registry.release(release)?.manifest.base.label
  const fitting =
    base === undefined
      ? named.filter((one) => named.length === 1 || toHex(one.base) === bases.current()?.id)
      : named.filter((one) => labelOf(one) === base || toHex(one.base).startsWith(base))
  const [channel] = fitting
  if (channel !== undefined && fitting.length === 1) return channel
  const choices = named.map((one) => `${toHex(one.base).slice(0, 12)} (${labelOf(one) ?? 'not known here'})`)
  throw new MeshError('bad-input', `Say for which base, with --base: ${choices.join(', ')}.`, {
    bases: named.map((one) => toHex(one.base)),
  })
}

/** The last one that the channel was moved away from and may go back to. */
function releaseBefore({ registry }: ProposingNode, community: Uint8Array, channel: ChannelView): Uint8Array {
  const { withdrawn } = registry.governance.chain(community)
  const course = channelCourse(registry.governance.certificates(community), channel)
  const isOffered = (id: string): boolean =>
    !withdrawn.has(id) && registry.release(fromHex(id))?.withdrawn === undefined
  const before = course.findLast((id) => channel.held.includes(id) && isOffered(id))
  if (before !== undefined) return fromHex(before)
  throw new MeshError('bad-input', `The channel ${channel.capability} has held nothing else that is still offered.`)
}

/** By its version alone, or named as everywhere. */
function heldRelease({ registry }: ProposingNode, channel: ChannelView, text: string): Uint8Array {
  const held = registry
    .catalogue({ anyPublisher: true })
    .filter(({ releaseId }) => channel.held.includes(toHex(releaseId)))
  const ofVersion = held.find(({ manifest }) => manifest.version === text)?.manifest
  const name = ofVersion === undefined ? text : `${ofVersion.name}@${text}`
  return oneRelease(held, name, `release that ${channel.capability} has meant before`).releaseId
}

// --- Suites

function suite(
  { registry }: ProposingNode,
  community: Uint8Array,
  { capability, questions }: WishOf<'suite'>,
): ProposedAction {
  const bytes = utf8(questions)
  if (bytes.length > limits.suiteMaxBytes) {
    throw new MeshError('bad-input', `A suite has at most ${limits.suiteMaxBytes} bytes; this one ${bytes.length}.`)
  }
  parseSuite(questions)
  // Before the questions are said: they can't be taken back.
  if (registry.governance.members(community).find(({ own }) => own)?.role === 'user') {
    throw new MeshError('bad-input', 'Suites are proposed by teachers and admins: ask one of them.')
  }
  return { kind: 'suite', capability, suite: registry.governance.shareSuite(community, bytes).suite }
}
