// What this node says to others: its releases, its withdrawals, its wishes. Saying the same thing twice changes nothing, and a version
// never names two releases.
import { bytesEqual, encodeBody, limits, MeshError, toHex } from '../protocol/index.ts'
import type { Author, RecordBody, Scope, SignedManifest } from '../protocol/index.ts'
import type { Catalogue } from './catalogue.ts'
import type { Communities } from './communities.ts'
import { previewJob } from './jobs.ts'
import type { JobDraft, JobPreview } from './jobs.ts'
import type { KnownLogs } from './known-logs.ts'
import type { LogStore } from './log-store.ts'
import { waiting } from './own-logs.ts'
import type { Action, AppendResult, OwnLogs } from './own-logs.ts'
import type { RandomBytes } from './ports.ts'
import { bodySaid, releaseSaid } from './said-before.ts'
import type { OwnHistory, SaidBefore } from './said-before.ts'

export interface OwnStatementsParts {
  readonly author: Author
  readonly random: RandomBytes
  readonly own: OwnLogs
  readonly logs: KnownLogs
  readonly store: LogStore
  readonly communities: Communities
  readonly catalogue: Catalogue
}

export class OwnStatements {
  readonly #parts: OwnStatementsParts

  constructor(parts: OwnStatementsParts) {
    this.#parts = parts
  }

  /** Throws `version-taken`, or `bad-input` for somebody else's manifest and for a community one is no member of. */
  release(release: SignedManifest, infohash: Uint8Array, scope: Scope): AppendResult {
    if (!bytesEqual(release.manifest.publisher, this.#parts.author.identity)) {
      throw new MeshError('bad-input', 'This manifest names another publisher; a node announces its own releases only.')
    }
    if (scope !== 'public') this.#requireMember(scope)
    const before = releaseSaid(this.#history(), release)
    if (before.kind === 'name-taken') {
      const { name, version } = release.manifest
      throw new MeshError(
        'version-taken',
        `You already published ${name}@${version} for this base as another release. Choose a higher version.`,
        { name, version, owner: toHex(before.owner), refused: toHex(release.releaseId) },
      )
    }
    const body = encodeBody('release/1', { sealedManifest: release.sealed, infohash })
    return this.#appendOnce(before, { scope, type: 'release/1', body })
  }

  /** Throws `not-found` for what isn't one's own release. */
  withdrawal(releaseId: Uint8Array, reason: string): AppendResult {
    const entry = this.#parts.catalogue.find(releaseId)
    if (entry === undefined || !entry.own) {
      throw new MeshError('not-found', 'This is not one of your releases. "lora-mesh ls" lists them.')
    }
    const body = encodeBody('withdrawal/1', { release: releaseId, reason })
    const before = bodySaid(this.#history(), this.#parts.own.key('public'), body)
    return this.#appendOnce(before, { scope: 'public', type: 'withdrawal/1', body })
  }

  /** Throws `not-found` unless both of its ends are own releases. */
  patch(patch: RecordBody<'patch/1'>): AppendResult {
    for (const end of [patch.from, patch.to]) {
      if (this.#parts.catalogue.find(end)?.own === true) continue
      throw new MeshError('not-found', 'A patch leads from one of your releases to another.', { release: toHex(end) })
    }
    const body = encodeBody('patch/1', patch)
    const before = bodySaid(this.#history(), this.#parts.own.key('public'), body)
    return this.#appendOnce(before, { scope: 'public', type: 'patch/1', body })
  }

  /** Throws `bad-input`. */
  previewJob(draft: JobDraft): JobPreview {
    return previewJob(draft, this.#parts.author.identity, this.#parts.random)
  }

  /** Throws `not-found` for a community that isn't followed, `quota-exceeded` beyond what members keep of a follower. */
  job(communityId: Uint8Array, preview: JobPreview): AppendResult {
    const scope = toHex(communityId)
    const community = this.#parts.communities.byScope(scope)
    if (community === undefined) throw new MeshError('not-found', 'Follow this community before posting a job in it.')
    const key = this.#parts.own.key(scope)
    const role = this.#parts.communities.roleOf(community, this.#parts.author.identity)
    const before = bodySaid(this.#history(), key, preview.bytes)
    const length = this.#parts.store.summary(key)?.length ?? 1
    if (before.kind === 'no' && role === undefined && length >= limits.followerLogMaxRecords) {
      throw new MeshError(
        'quota-exceeded',
        `A follower can post at most ${limits.followerLogMaxRecords - 1} jobs in a community; members keep no more. Ask an admin to make you a member.`,
      )
    }
    return this.#appendOnce(before, { scope, type: 'job/1', body: preview.bytes })
  }

  #appendOnce(before: SaidBefore, action: Action): AppendResult {
    if (before.kind === 'said') return { kind: 'appended', record: before.record }
    if (before.kind === 'waits') return waiting(before.pending)
    return this.#parts.own.append(action)
  }

  #requireMember(scope: Scope): void {
    const { communities, author } = this.#parts
    const community = communities.byScope(scope)
    if (community !== undefined && communities.roleOf(community, author.identity) !== undefined) return
    throw new MeshError(
      'bad-input',
      'Only members publish in a community. Publish for everyone, or ask to become a member.',
    )
  }

  #history(): OwnHistory {
    const { author, logs, store, own } = this.#parts
    return { self: author.identity, logs, store, pending: own.pending() }
  }
}
