// Gaps become wanted jobs in two steps: a preview shows, word for word, what others would see; posting takes only such a preview. So
// nothing that was derived from a request can leave the node unseen.
import { identityToText, MeshError, sha256, toHex, utf8 } from '../protocol/index.ts'
import type { CommunityView, JobPreview, Registry, WantedJob } from '../registry/index.ts'

export interface GapWish {
  readonly capability: string
  /** All that is told of the request. */
  readonly description: string
  readonly base: { readonly id: Uint8Array; readonly label: string }
}

export interface ShownGap {
  /** Names the preview when it is posted. */
  readonly preview: string
  readonly capability: string
  /** Exactly what is signed, for people. */
  readonly text: string
  readonly communities: readonly string[]
}

export interface PostedGap {
  readonly capability: string
  /** `posted`: others can see it; `pending`: it is signed once a peer has been asked. */
  readonly state: 'posted' | 'pending'
  /** Record ids in hex, one per community; empty while pending. */
  readonly ids: readonly string[]
  readonly communities: readonly string[]
}

export interface GapDesk {
  show(wish: GapWish): ShownGap
  /** Throws `not-found` for a preview that was not shown by this node since it started. */
  post(preview: string): PostedGap
}

const SHOWN_MAX = 1_000

export function gapDesk(registry: Registry): GapDesk {
  const shown = new Map<string, JobPreview>()
  return {
    show(wish) {
      const preview = registry.previewJob(wish)
      const key = toHex(sha256(utf8(preview.text))).slice(0, 32)
      if (shown.size >= SHOWN_MAX) shown.delete(shown.keys().next().value ?? '')
      shown.set(key, preview)
      return { preview: key, capability: wish.capability, text: preview.text, communities: communityNames(registry) }
    },
    post(key) {
      const preview = shown.get(key)
      if (preview === undefined)
        throw new MeshError('not-found', 'This job was not shown yet: run the request again.', { preview: key })
      const communities = knownCommunities(registry)
      if (communities.length === 0) {
        throw new MeshError(
          'not-found',
          'There is nobody to post this to: follow a community first, `lora-mesh community follow LINK`, and wait for one of its peers.',
        )
      }
      const results = communities.map(({ id }) => registry.postJob(id, preview))
      const ids = results.flatMap((result) => (result.kind === 'appended' ? [toHex(result.record.id)] : []))
      return {
        capability: preview.draft.capability,
        state: ids.length === results.length ? 'posted' : 'pending',
        ids,
        communities: communityNames(registry),
      }
    },
  }
}

export function jobAnswer(job: WantedJob): object {
  const { id, capability, description, base, author, member, own, time, communities } = job
  return {
    id: toHex(id),
    capability,
    description,
    base: { id: toHex(base.id), label: base.label },
    author: identityToText(author),
    member,
    own,
    time: new Date(time).toISOString(),
    communities: communities.map(toHex),
  }
}

/** Before its genesis has come nobody knows who its members are, and whether they do not offer the very thing. */
function knownCommunities(registry: Registry): (CommunityView & { state: 'following' })[] {
  return registry.communities().filter((view) => view.state === 'following')
}

function communityNames(registry: Registry): string[] {
  return knownCommunities(registry).map(({ name }) => name)
}
