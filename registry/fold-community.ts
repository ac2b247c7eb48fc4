// What a community's records add up to: a pure function of its genesis and the records, so that every node that holds the same records
// computes the same state, whatever the order in which they came.
import semver from 'semver'
import { bytesEqual, compareBytes, encodeObject, taggedId, toHex } from '../protocol/index.ts'
import type { OpenedGenesis, SignedManifest } from '../protocol/index.ts'
import { channelKey, startOfChain } from './governance/chain-state.ts'
import type { ChainState, Member } from './governance/chain-state.ts'
import { compareLogs } from './record-effects.ts'
import type { JobEffect, LogView, PatchEffect, Statement } from './record-effects.ts'

export interface FoldedRelease {
  readonly release: SignedManifest
  readonly infohash: Uint8Array
  /** Public, or for this community only. */
  readonly scope: string
  /** The record that announced it: its log and position. */
  readonly announcedAt: { readonly device: Uint8Array; readonly index: number }
  /** Why its publisher no longer recommends it. */
  readonly withdrawn: string | undefined
}

/** A second release under a name, version and base that the publisher had used before. It has no effect but to be shown. */
export interface NameConflict {
  readonly publisher: Uint8Array
  readonly name: string
  readonly version: string
  readonly owner: Uint8Array
  readonly refused: Uint8Array
}

export interface FoldedJob {
  /** Record id. */
  readonly id: Uint8Array
  readonly author: Uint8Array
  readonly time: number
  readonly job: JobEffect
}

/** What an author said to govern the community, and where. */
export interface Said<S extends Statement = Statement> {
  /** Record id. */
  readonly id: Uint8Array
  readonly author: Uint8Array
  readonly device: Uint8Array
  readonly index: number
  readonly time: number
  readonly statement: S
}

/** Where an author signed two different records at one position. */
export interface FoldedFork {
  readonly scope: string
  readonly device: Uint8Array
  readonly index: number
}

/** What one author's logs add up to. */
export interface AuthorPart {
  readonly author: Uint8Array
  readonly releases: readonly FoldedRelease[]
  readonly conflicts: readonly NameConflict[]
  /** Between two releases of this author, sorted by infohash. */
  readonly patches: readonly PatchEffect[]
  readonly jobs: readonly FoldedJob[]
  /** In the order of the author's log. */
  readonly statements: readonly Said[]
  readonly forks: readonly FoldedFork[]
  /** Names the part: two nodes with the same records of this author compute the same 32 bytes. */
  readonly hash: Uint8Array
}

export interface CommunityState {
  readonly id: Uint8Array
  readonly name: string
  /** What was decided: members, rules, channels, suites. */
  readonly chain: ChainState
  /** Sorted by identity. */
  readonly members: readonly Member[]
  /** Those of members, in the order of the members. */
  readonly parts: readonly AuthorPart[]
  /** 32 bytes. */
  readonly stateHash: Uint8Array
}

/** `logs` may hold those of others and of other scopes; they have no effect. `chain`: what the certificates add up to. */
export function foldCommunity(
  genesis: OpenedGenesis,
  logs: readonly LogView[],
  chain: ChainState = startOfChain(genesis),
): CommunityState {
  const scope = toHex(genesis.id)
  const byAuthor = Map.groupBy(
    logs.filter((log) => log.key.scope === 'public' || log.key.scope === scope),
    (log) => toHex(log.key.author),
  )
  return joinParts(genesis, chain, (author) => foldAuthor(author, byAuthor.get(toHex(author)) ?? []))
}

/** The state from the parts of the members; lets a caller keep the parts that did not change. */
export function joinParts(
  genesis: OpenedGenesis,
  chain: ChainState,
  partOf: (author: Uint8Array) => AuthorPart,
): CommunityState {
  const members = [...chain.members.values()].toSorted((a, b) => compareBytes(a.identity, b.identity))
  const parts = members.map(({ identity }) => partOf(identity))
  const stateHash = taggedId(
    'state',
    encodeObject({
      community: genesis.id,
      // Everything decided follows from the chain, and the chain from its last id.
      decided: chain.head,
      members: members.map(({ identity, role }, i) => [identity, role, parts[i]!.hash]),
    }),
  )
  return { id: genesis.id, name: genesis.genesis.name, chain, members, parts, stateHash }
}

/** Folds the logs of one author. A publisher speaks for itself only: its releases, its withdrawals of them, its jobs. */
export function foldAuthor(author: Uint8Array, logs: readonly LogView[]): AuthorPart {
  const sorted = logs.toSorted(compareLogs)
  const withdrawn = new Map<string, string>()
  const releases = new Map<string, FoldedRelease>()
  const owners = new Map<string, Uint8Array>()
  const conflicts = new Map<string, NameConflict>()
  const patches = new Map<string, PatchEffect>()
  const jobs: FoldedJob[] = []
  const statements: Said[] = []
  for (const log of sorted) {
    const { device } = log.key
    for (const { id, index, time, effect } of log.entries) {
      if (effect.kind === 'withdrawal') {
        const release = toHex(effect.release)
        if (!withdrawn.has(release)) withdrawn.set(release, effect.reason)
      } else if (effect.kind === 'patch') patches.set(toHex(effect.patch.infohash), effect.patch)
      else if (effect.kind === 'job') jobs.push({ id, author, time, job: effect.job })
      else if (effect.kind === 'statement') {
        statements.push({ id, author, device, index, time, statement: effect.statement })
      } else if (effect.kind === 'release') {
        const { manifest, releaseId } = effect.release
        const nameKey = releaseNameKey(manifest.name, manifest.version, manifest.base.id)
        const owner = owners.get(nameKey)
        if (owner === undefined) {
          owners.set(nameKey, releaseId)
          releases.set(toHex(releaseId), {
            release: effect.release,
            infohash: effect.infohash,
            scope: log.key.scope,
            announcedAt: { device: log.key.device, index },
            withdrawn: undefined,
          })
        } else if (!bytesEqual(owner, releaseId)) {
          const { name, version } = manifest
          conflicts.set(toHex(releaseId), { publisher: author, name, version, owner, refused: releaseId })
        }
      }
    }
  }
  return finishPart(author, sorted, { releases, withdrawn, conflicts, patches, jobs, statements })
}

/** One text per (name, version, base id) of a publisher. Names and versions hold no spaces. */
export function releaseNameKey(name: string, version: string, baseId: Uint8Array): string {
  return `${name} ${version} ${toHex(baseId)}`
}

function finishPart(
  author: Uint8Array,
  logs: readonly LogView[],
  found: {
    readonly releases: ReadonlyMap<string, FoldedRelease>
    readonly withdrawn: ReadonlyMap<string, string>
    readonly conflicts: ReadonlyMap<string, NameConflict>
    readonly patches: ReadonlyMap<string, PatchEffect>
    readonly jobs: readonly FoldedJob[]
    readonly statements: readonly Said[]
  },
): AuthorPart {
  const releases = [...found.releases]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, release]) => ({ ...release, withdrawn: found.withdrawn.get(id) }))
  const conflicts = [...found.conflicts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, conflict]) => conflict)
  // Whoever signs a patch must have signed both of its ends.
  const patches = [...found.patches.values()]
    .filter(({ from, to }) => found.releases.has(toHex(from)) && found.releases.has(toHex(to)))
    .toSorted((a, b) => compareBytes(a.infohash, b.infohash))
  const jobs = found.jobs.toSorted((a, b) => compareBytes(a.id, b.id))
  const forks = logs.flatMap(({ key, forkedAt }) =>
    forkedAt === undefined ? [] : [{ scope: key.scope, device: key.device, index: forkedAt }],
  )
  const hash = taggedId(
    'state',
    encodeObject({
      author,
      releases: digestOf(releases.map(digestOfRelease)),
      conflicts: digestOf(conflicts.map(({ refused }) => refused)),
      patches: digestOf(patches.map(({ infohash }) => infohash)),
      jobs: digestOf(jobs.map(({ id }) => id)),
      // In the order of the author's logs.
      statements: digestOf(found.statements.map(({ id }) => id)),
      forks: forks.map(({ scope, device, index }) => [scope, device, index]),
    }),
  )
  return { author, releases, conflicts, patches, jobs, statements: found.statements, forks, hash }
}

function digestOfRelease({ release, infohash, scope, withdrawn }: FoldedRelease): Uint8Array {
  return taggedId(
    'state',
    encodeObject([release.releaseId, infohash, scope, withdrawn === undefined ? [] : [withdrawn]]),
  )
}

/** One digest of any number of equally long ids, because a member may have said more than an encoded object can list. */
function digestOf(ids: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(ids.reduce((sum, id) => sum + id.length, 0))
  let at = 0
  for (const id of ids) {
    bytes.set(id, at)
    at += id.length
  }
  return taggedId('state', bytes)
}

/**
 * What a bare name means here: the release that the community's channel holds, where it has one and its publisher has not withdrawn
 * that. Otherwise the highest release of its members for this base by semver, pre-releases and withdrawn ones left out; of equals the
 * one with the smallest release id.
 */
export function resolveBareName(state: CommunityState, name: string, baseId: Uint8Array): FoldedRelease | undefined {
  const onBase = state.parts
    .flatMap((part) => part.releases)
    .filter(({ release: { manifest } }) => bytesEqual(manifest.base.id, baseId))
  const channel = state.chain.channels.get(channelKey(name, baseId))
  const decided = channel && onBase.find(({ release }) => bytesEqual(release.releaseId, channel.release))
  // What was decided and isn't known here yet must not be answered with something else.
  if (channel !== undefined && decided?.withdrawn === undefined) return decided
  return highest(
    onBase.filter(
      ({ release, withdrawn }) =>
        release.manifest.name === name && withdrawn === undefined && isOffered(state, release),
    ),
  )
}

function isOffered({ chain }: CommunityState, { manifest, releaseId }: SignedManifest): boolean {
  return semver.prerelease(manifest.version) === null && !chain.withdrawn.has(toHex(releaseId))
}

function highest(releases: readonly FoldedRelease[]): FoldedRelease | undefined {
  return releases.toSorted(
    (a, b) =>
      semver.compare(b.release.manifest.version, a.release.manifest.version) ||
      compareBytes(a.release.releaseId, b.release.releaseId),
  )[0]
}
