// Communities, their members and channels as the API shows them.
import { bytesEqual, fromHex, identityToText, toHex } from '../../protocol/index.ts'
import type { ChannelView, CommunityView, Registry } from '../../registry/index.ts'
import { lostChannel } from '../governed-releases.ts'
import { namedRelease, rulesAnswer } from './action-answer.ts'
import type { NamedRelease } from './action-answer.ts'

export function communityAnswer(registry: Registry, view: CommunityView): object {
  const { id, link, state } = view
  if (view.state === 'waiting-for-genesis') return { id: toHex(id), link, state, message: view.message }
  const { name, members, role, stateHash } = view
  return {
    id: toHex(id),
    link,
    state,
    name,
    role,
    settles: registry.governance.settles(id),
    rules: rulesAnswer(registry.governance.chain(id).rules),
    members: members.map((member) => ({ identity: identityToText(member.identity), role: member.role })),
    stateHash: toHex(stateHash),
  }
}

export interface MemberAnswer {
  readonly identity: string
  readonly role: string
  /** By whose invitation it came; founders, and members admitted by a vote, have none. */
  readonly inviter?: string
  readonly own: boolean
}

/** Admins first, then teachers; of one role in the order in which they came. */
export function memberAnswers(registry: Registry, community: Uint8Array): MemberAnswer[] {
  const rank = { admin: 0, teacher: 1, user: 2 }
  return registry.governance
    .members(community)
    .toSorted((a, b) => rank[a.role] - rank[b.role])
    .map(({ identity, role, inviter, own }) => ({
      identity: identityToText(identity),
      role,
      ...(inviter === undefined ? {} : { inviter: identityToText(inviter) }),
      own,
    }))
}

export interface ChannelAnswer {
  readonly capability: string
  readonly base: { readonly id: string; readonly label?: string }
  readonly release: NamedRelease
  /** Why it leads nowhere for new requests, and what to do: its release was withdrawn. */
  readonly lost?: string
  /** By which it came there. */
  readonly certificate: string
  /** Releases it may be rolled back to. */
  readonly held: readonly NamedRelease[]
  /** SHA-256 of the questions by which upgrades are measured. */
  readonly suite?: string
}

/** By capability. */
export function channelAnswers(registry: Registry, community: Uint8Array): ChannelAnswer[] {
  const { suites } = registry.governance.chain(community)
  return registry.governance
    .channels(community)
    .map((channel) => channelAnswer(registry, channel, suites.get(channel.capability)))
    .toSorted((a, b) => (a.capability < b.capability ? -1 : 1))
}

/** Suites that are bound, by capability: also those of capabilities without a channel. */
export function suiteAnswers(registry: Registry, community: Uint8Array) {
  return [...registry.governance.chain(community).suites]
    .map(([capability, suite]) => ({
      capability,
      suite: toHex(suite),
      held: registry.governance.suite(community, suite) !== undefined,
    }))
    .toSorted((a, b) => (a.capability < b.capability ? -1 : 1))
}

function channelAnswer(registry: Registry, channel: ChannelView, suite: Uint8Array | undefined): ChannelAnswer {
  const { capability, base, release, certificate, held } = channel
  const lost = lostChannel(registry, channel)
  const label = registry.release(release)?.manifest.base.label
  return {
    capability,
    base: { id: toHex(base), ...(label === undefined ? {} : { label }) },
    release: namedRelease(registry, release),
    ...(lost === undefined ? {} : { lost: lost.sentence }),
    certificate: toHex(certificate),
    held: held.map((id) => namedRelease(registry, fromHex(id))),
    ...(suite === undefined ? {} : { suite: toHex(suite) }),
  }
}

export function isMember(registry: Registry, community: Uint8Array): boolean {
  const view = registry.communities().find(({ id }) => bytesEqual(id, community))
  return view?.state === 'following' && view.role !== undefined
}
