// Whose records this node keeps for others: its own, members' of the communities it follows, a little of their followers', and public
// logs that the user asked for. Everything else of strangers is not stored.
import { bytesEqual, capabilityTopic, limits, readBody, toHex } from '../protocol/index.ts'
import type { SignedRecord, VerifiedRecord } from '../protocol/index.ts'
import type { Communities, Community } from './communities.ts'
import type { KnownLogs } from './known-logs.ts'
import { logKeyText } from './log-key.ts'
import type { LogKey } from './log-key.ts'
import type { LogStore } from './log-store.ts'

/** How much of the public logs of publishers outside the followed communities is kept, for those who asked for any publisher. */
export const outsiderQuota = Object.freeze({ logs: 256, recordsPerLog: 1_024, bytesPerLog: 4 * 1024 * 1024 })

export interface Quota {
  readonly records: number
  readonly bytes: number
  /** Record types that are kept; all when absent. */
  readonly types?: ReadonlySet<string>
  /** Kept only if an invitation of a member is used in it: there is no room for more followers. */
  readonly onlyInvited?: boolean
}

const unlimited: Quota = { records: limits.logMaxRecords, bytes: Number.POSITIVE_INFINITY }
const followerQuota: Quota = {
  records: limits.followerLogMaxRecords,
  bytes: limits.followerLogMaxBytes,
  types: new Set(['log/1', 'job/1', 'join/1']),
}
const invitedQuota: Quota = { ...followerQuota, onlyInvited: true }
const outsiderLogQuota: Quota = { records: outsiderQuota.recordsPerLog, bytes: outsiderQuota.bytesPerLog }

/** A topic that is not a community's: one capability on one base. */
export interface CapabilityInterest {
  readonly name: string
  readonly baseId: Uint8Array
  readonly topic: Uint8Array
  /** Whether the user asked for what any publisher offers there; otherwise this node is there to be found. */
  readonly asked: boolean
}

export function capabilityInterest(name: string, baseId: Uint8Array, asked: boolean): CapabilityInterest {
  return { name, baseId, topic: capabilityTopic(name, baseId), asked }
}

/** Whether a member of the community with this scope invited somebody by this public key, and nobody used it yet. */
export type OpenInvitations = (scope: string, key: Uint8Array) => boolean

export class StoragePolicy {
  readonly #store: LogStore
  readonly #logs: KnownLogs
  readonly #communities: Communities
  readonly #self: Uint8Array
  readonly #isOpenInvitation: OpenInvitations
  readonly #interests = new Map<string, CapabilityInterest>()
  /** Logs that hit their quota: what follows is not asked for again. */
  readonly #full = new Set<string>()

  constructor(
    store: LogStore,
    logs: KnownLogs,
    communities: Communities,
    self: Uint8Array,
    isOpenInvitation: OpenInvitations = () => false,
  ) {
    this.#isOpenInvitation = isOpenInvitation
    this.#store = store
    this.#logs = logs
    this.#communities = communities
    this.#self = self
  }

  addInterest(interest: CapabilityInterest): void {
    const name = toHex(interest.topic)
    const asked = interest.asked || this.#interests.get(name)?.asked === true
    this.#interests.set(name, { ...interest, asked })
  }

  interests(): CapabilityInterest[] {
    return [...this.#interests.values()]
  }

  /** What this node keeps of a log that a peer holds under a topic (hex); nothing when absent. */
  quota(key: LogKey, topicHex: string): Quota | undefined {
    if (bytesEqual(key.author, this.#self)) return unlimited
    const community = this.#communities.byTopic(topicHex)
    if (community !== undefined) return this.#communityQuota(key, community)
    if (key.scope !== 'public' || this.#interests.get(topicHex)?.asked !== true) return undefined
    if (this.#isMember(key.author)) return unlimited
    return this.#hasRoom(key, outsiderQuota.logs, (other) => other.scope === 'public' && !this.#isMember(other.author))
      ? outsiderLogQuota
      : undefined
  }

  /** Whether anything of a log can be kept that a peer holds under a topic: now, or once more is known about the topic. */
  mayEverKeep(key: LogKey, topicHex: string): boolean {
    const community = this.#communities.byTopic(topicHex)
    return community?.genesis === undefined || this.quota(key, topicHex) !== undefined
  }

  /** Up to which length a log that a peer announces under these topics (hex) with `length` records is wanted. */
  wantedLength(key: LogKey, topics: Iterable<string>, length: number): number {
    if (this.#full.has(logKeyText(key))) return 0
    return Math.min(length, this.#largestQuota(key, topics)?.records ?? 0)
  }

  /** Under which of these topics to ask for a log. */
  bestTopic(key: LogKey, topics: ReadonlyMap<string, Uint8Array>): Uint8Array {
    const kept = topics.entries().find(([name]) => this.quota(key, name) !== undefined)
    const topic = kept?.[1] ?? topics.values().next().value
    if (topic === undefined) throw new Error('a log was announced under no topic')
    return topic
  }

  /** The leading records that fit the quota. A log can't be kept with holes, so the first that doesn't fit ends it. */
  fitting(key: LogKey, topics: Iterable<string>, records: readonly VerifiedRecord[]): readonly VerifiedRecord[] {
    const quota = this.#largestQuota(key, topics)
    if (quota === undefined) return []
    if (quota.onlyInvited === true && !this.#usesInvitation(key, records)) {
      this.#full.add(logKeyText(key))
      return []
    }
    let bytes = this.#store.summary(key)?.bytes ?? 0
    const end = records.findIndex((record) => {
      bytes += sizeOf(record)
      return (
        bytes > quota.bytes || record.fields.index >= quota.records || quota.types?.has(record.fields.type) === false
      )
    })
    if (end < 0) return records
    this.#full.add(logKeyText(key))
    return records.slice(0, end)
  }

  /** After somebody became a member, or something was asked for: what was too much before may not be any more. */
  liftLimits(): void {
    this.#full.clear()
  }

  /** The logs this node passes on under a topic (hex): everything it keeps for it. */
  logsUnder(topicHex: string): LogKey[] {
    const found: LogKey[] = []
    for (const { key } of this.#store.summaries()) if (this.isUnder(key, topicHex)) found.push(key)
    return found
  }

  isUnder(key: LogKey, topicHex: string): boolean {
    const community = this.#communities.byTopic(topicHex)
    if (community !== undefined) {
      if (key.scope === community.scope) return true
      return key.scope === 'public' && this.#communities.roleOf(community, key.author) !== undefined
    }
    const interest = this.#interests.get(topicHex)
    if (interest === undefined || key.scope !== 'public') return false
    return (
      this.#logs
        .log(key)
        ?.entries.some(({ effect }) => effect.kind === 'release' && offers(effect.release.manifest, interest)) === true
    )
  }

  #largestQuota(key: LogKey, topics: Iterable<string>): Quota | undefined {
    let largest: Quota | undefined
    for (const topic of topics) {
      const quota = this.quota(key, topic)
      if (quota !== undefined && quota.records > (largest?.records ?? 0)) largest = quota
    }
    return largest
  }

  #communityQuota(key: LogKey, community: Community): Quota | undefined {
    if (community.genesis === undefined) return undefined
    const member = this.#communities.roleOf(community, key.author) !== undefined
    if (member) return key.scope === 'public' || key.scope === community.scope ? unlimited : undefined
    if (key.scope !== community.scope) return undefined
    const isFollowers = (other: LogKey): boolean =>
      other.scope === community.scope && this.#communities.roleOf(community, other.author) === undefined
    if (this.#hasRoom(key, limits.followersPerCommunityMax, isFollowers)) return followerQuota
    // Strangers must not keep out those who were invited by filling the room with names of their own.
    return this.#hasRoom(key, limits.followersPerCommunityMax + limits.membersMax, isFollowers)
      ? invitedQuota
      : undefined
  }

  #usesInvitation({ scope }: LogKey, records: readonly VerifiedRecord[]): boolean {
    return records.some((record) => {
      const read = readBody(record)
      return read.type === 'join/1' && this.#isOpenInvitation(scope, read.body.key)
    })
  }

  #isMember(author: Uint8Array): boolean {
    return this.#communities.all().some((community) => this.#communities.roleOf(community, author) !== undefined)
  }

  /** Whether the log is among the kept ones of its kind already, or one more may be. Own logs don't count. */
  #hasRoom(key: LogKey, max: number, ofKind: (other: LogKey) => boolean): boolean {
    if ((this.#store.summary(key)?.length ?? 0) > 0) return true
    let kept = 0
    for (const other of this.#store.summaries()) {
      if (ofKind(other.key) && !bytesEqual(other.key.author, this.#self)) kept++
    }
    return kept < max
  }
}

function sizeOf(record: SignedRecord): number {
  return record.envelope.length + record.body.length
}

function offers(
  manifest: { readonly capabilities: readonly { readonly name: string }[]; readonly base: { readonly id: Uint8Array } },
  interest: CapabilityInterest,
): boolean {
  return (
    bytesEqual(manifest.base.id, interest.baseId) &&
    manifest.capabilities.some((capability) => capability.name === interest.name)
  )
}
