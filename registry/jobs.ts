// The wanted jobs this node knows: its own, members' and followers'. A job is posted in two steps, so that the user sees exactly what
// others will see before anything leaves the node.
import {
  bytesEqual,
  compareBytes,
  encodeBody,
  fromHex,
  identityToText,
  isMeshError,
  MeshError,
  toHex,
} from '../protocol/index.ts'
import type { RecordBody } from '../protocol/index.ts'
import type { Communities } from './communities.ts'
import type { KnownLogs } from './known-logs.ts'
import type { RandomBytes } from './ports.ts'

export interface JobDraft {
  /** The capability nobody offers: `wine-pairing`. */
  readonly capability: string
  /** All that is told of the request it came from. */
  readonly description: string
  readonly base: { readonly id: Uint8Array; readonly label: string }
}

/** What will be signed and shown to others, exactly. */
export interface JobPreview {
  readonly draft: JobDraft
  /** The record body. */
  readonly bytes: Uint8Array
  /** The same for people: every field of the body. */
  readonly text: string
}

export interface WantedJob {
  /** Record id, 32 bytes; the smallest one of a job that was posted in several communities. */
  readonly id: Uint8Array
  readonly capability: string
  readonly description: string
  readonly base: { readonly id: Uint8Array; readonly label: string }
  /** Identity, 32 bytes. */
  readonly author: Uint8Array
  /** Whether the author is a member of one of `communities`; otherwise a follower. */
  readonly member: boolean
  readonly own: boolean
  /** As its author states it, in milliseconds since 1970. */
  readonly time: number
  readonly communities: readonly Uint8Array[]
}

/** Throws `bad-input` with the field that is wrong. `random` gives the nonce that keeps two equal wishes apart. */
export function previewJob(draft: JobDraft, author: Uint8Array, random: RandomBytes): JobPreview {
  const { capability, description, base } = draft
  const nonce = random(16)
  const bytes = bodyOf({ capability, description, base, nonce })
  const text = [
    `capability: ${capability}`,
    `description: ${description}`,
    `base: ${base.label} (${toHex(base.id)})`,
    `nonce: ${toHex(nonce)}`,
    `signed as: ${identityToText(author)}`,
  ].join('\n')
  return { draft, bytes, text }
}

function bodyOf(job: RecordBody<'job/1'>): Uint8Array {
  try {
    return encodeBody('job/1', job)
  } catch (cause) {
    if (!isMeshError(cause)) throw cause
    throw new MeshError('bad-input', `This job can't be posted: ${cause.message}`, cause.details, { cause })
  }
}

/** Newest first. */
export function wantedJobs(logs: KnownLogs, communities: Communities, self: Uint8Array): WantedJob[] {
  const jobs = new Map<string, WantedJob>()
  for (const authorHex of logs.authors()) {
    const author = fromHex(authorHex)
    for (const community of communities.all()) {
      const member = communities.roleOf(community, author) !== undefined
      for (const { id, time, job } of logs.part(author, community.scope).jobs) {
        const name = `${authorHex} ${toHex(job.nonce)}`
        const before = jobs.get(name)
        jobs.set(name, {
          id: before !== undefined && compareBytes(before.id, id) < 0 ? before.id : id,
          capability: job.capability,
          description: job.description,
          base: job.base,
          author,
          member: member || before?.member === true,
          own: bytesEqual(author, self),
          time: before?.time ?? time,
          communities: [...(before?.communities ?? []), community.id],
        })
      }
    }
  }
  return [...jobs.values()].toSorted((a, b) => b.time - a.time || compareBytes(a.id, b.id))
}
