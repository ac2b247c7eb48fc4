// What a community's certificates add up to: its members, their rules, its channels and suites. A pure function of the genesis and the
// chain, so that every node that holds the same chain computes the same.
import { bytesEqual, subjectId, toHex } from '../../protocol/index.ts'
import type {
  CommunityRole,
  CommunityRules,
  Electorate,
  OpenedGenesis,
  Outcome,
  ProposedAction,
  Subject,
} from '../../protocol/index.ts'

/** Nothing is in force on a subject yet. */
export const nothingInForce: Uint8Array = new Uint8Array(32)

export interface Member {
  readonly identity: Uint8Array
  readonly role: CommunityRole
  /** Hex of the member by whose invitation this one came. Founders, and members admitted by a vote, have none. */
  readonly inviter: string | undefined
  /** Id of the certificate by which it became a member, or the community's. */
  readonly since: Uint8Array
}

/** A community's pointer from a bare name and a base to a release. */
export interface Channel {
  readonly capability: string
  readonly base: Uint8Array
  readonly release: Uint8Array
  /** Id of the certificate that moved it there. */
  readonly certificate: Uint8Array
  /** Hex of every release that it ever held: to these it may be rolled back. */
  readonly held: ReadonlySet<string>
}

export interface SettledProposal {
  readonly outcome: Outcome
  readonly certificate: Uint8Array
}

export interface ChainState {
  readonly community: Uint8Array
  /** How many certificates there are. */
  readonly length: number
  /** Id of the last certificate, or the community's. */
  readonly head: Uint8Array
  /** Id of the certificate that made the members in force, or the community's. */
  readonly membership: Uint8Array
  readonly rules: CommunityRules
  /** By identity in hex. */
  readonly members: ReadonlyMap<string, Member>
  /** Who came by whose invitation, in hex; kept when either goes, so that going frees nobody from a cap. */
  readonly inviters: ReadonlyMap<string, string>
  /** Members' identities in hex, by membership certificate in hex: who may vote on a proposal that names it. */
  readonly electorates: ReadonlyMap<string, ReadonlySet<string>>
  /** By `channelKey`. */
  readonly channels: ReadonlyMap<string, Channel>
  /** Accepted certificate in force, by subject id in hex. */
  readonly inForce: ReadonlyMap<string, Uint8Array>
  /** SHA-256 of the suite by capability. */
  readonly suites: ReadonlyMap<string, Uint8Array>
  /** Release in hex -> why the community no longer offers it. */
  readonly withdrawn: ReadonlyMap<string, string>
  /** By proposal id in hex. */
  readonly settled: ReadonlyMap<string, SettledProposal>
  /** Public keys, in hex, of invitations that were used. */
  readonly usedInvitations: ReadonlySet<string>
}

export function startOfChain({ id, genesis }: OpenedGenesis): ChainState {
  const members = new Map(
    genesis.members.map(({ identity, role }) => [toHex(identity), { identity, role, inviter: undefined, since: id }]),
  )
  return {
    community: id,
    length: 0,
    head: id,
    membership: id,
    rules: genesis.rules,
    members,
    inviters: new Map(),
    electorates: new Map([[toHex(id), new Set(members.keys())]]),
    channels: new Map(),
    inForce: new Map(),
    suites: new Map(),
    withdrawn: new Map(),
    settled: new Map(),
    usedInvitations: new Set(),
  }
}

export function channelKey(capability: string, base: Uint8Array): string {
  return `${capability} ${toHex(base)}`
}

export function subjectOf(action: ProposedAction): Subject {
  switch (action.kind) {
    case 'upgrade':
    case 'rollback':
    case 'withdraw':
      return { kind: 'channel', capability: action.capability, base: action.base }
    case 'suite':
    case 'admit':
    case 'remove':
    case 'rule':
      return { kind: 'membership' }
  }
}

export function inForceOn(state: ChainState, subject: Subject): Uint8Array {
  return state.inForce.get(toHex(subjectId(subject))) ?? nothingInForce
}

/** Identities in hex, sorted: their order is the order in which they propose. */
export function delegatesOf(state: ChainState, electorate: Electorate): string[] {
  return [...state.members]
    .filter(([, { role }]) => electorate === 'members' || role === 'admin')
    .map(([identity]) => identity)
    .toSorted()
}

/** More than two thirds of so many delegates. */
export function quorumOf(delegates: number): number {
  return Math.floor((2 * delegates) / 3) + 1
}

export function memberOf(state: ChainState, identity: Uint8Array): Member | undefined {
  return state.members.get(toHex(identity))
}

export function adminsOf(state: ChainState): Member[] {
  return [...state.members.values()].filter(({ role }) => role === 'admin')
}

/** Whether a release is what a channel holds now. */
export function holds(channel: Channel | undefined, release: Uint8Array): boolean {
  return channel !== undefined && bytesEqual(channel.release, release)
}
