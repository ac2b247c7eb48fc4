// What a link would bring, before any of it is fetched.
import { bytesEqual, fromHex, identityFromText } from '../../protocol/index.ts'
import type { LockedRelease, Lockfile } from '../../resolver/index.ts'
import { personaIdOf } from '../../resolver/index.ts'
import type { Node } from '../create-node.ts'
import type { CallContext } from '../http/index.ts'
import { linkedLockfile } from './linked-lockfile.ts'
import type { LinkNode, LinkWish } from './linked-lockfile.ts'

export interface PreviewedRelease {
  readonly name: string
  readonly version: string
  readonly publisher: string
  /** Names of followed communities that the publisher is a member of. */
  readonly memberOf: readonly string[]
  readonly bytes: number
  readonly held: boolean
  readonly facets: readonly string[]
  /** Why it was withdrawn, where this node has heard of that. */
  readonly withdrawn: string | undefined
}

export interface LinkPreview {
  readonly persona: string
  /** Whether this node has this persona already. */
  readonly already: boolean
  readonly base: Lockfile['base'] & { readonly known: boolean }
  readonly releases: readonly PreviewedRelease[]
  /** Size of the adapters that would be fetched. */
  readonly fetchBytes: number
  readonly gaps: readonly string[]
  /** To be shown as what it is: a text of strangers. */
  readonly systemPrompt: string | undefined
  /** To be handed back when it is opened. */
  readonly lockfile: Lockfile
}

/** Which base it takes stands in the lockfile, which may take minutes to be found. */
const noBase =
  'This node has no base yet, and every persona needs one: add it with `lora-mesh base add FILE`. Which one is said once the persona is found.'

type LookingNode = LinkNode & Pick<Node, 'releases' | 'bases'>

/** Throws what `linkedLockfile` throws. */
export async function lookIntoLink(node: LookingNode, wish: LinkWish, context: CallContext): Promise<LinkPreview> {
  if (node.bases.list().length === 0) context.emit({ type: 'note', text: noBase })
  const { lockfile, persona } = await linkedLockfile(node, wish, context)
  const releases = lockfile.releases.map((locked) => previewedRelease(node, locked))
  return {
    persona: personaIdOf(lockfile),
    already: persona !== undefined,
    base: { ...lockfile.base, known: knowsBase(node, lockfile) },
    releases,
    fetchBytes: releases.reduce((sum, { held, bytes }) => sum + (held ? 0 : bytes), 0),
    gaps: lockfile.gaps.map(({ capability }) => capability),
    systemPrompt: lockfile.systemPrompt,
    lockfile,
  }
}

function previewedRelease(node: LookingNode, locked: LockedRelease): PreviewedRelease {
  const { name, version, publisher, bytes, facets, releaseId } = locked
  return {
    name,
    version,
    publisher,
    memberOf: communitiesOf(node, identityFromText(publisher)),
    bytes,
    held: node.releases.get(releaseId) !== undefined,
    facets,
    withdrawn: node.registry.release(fromHex(releaseId))?.withdrawn,
  }
}

function communitiesOf({ registry }: LookingNode, publisher: Uint8Array): string[] {
  return registry
    .communities()
    .flatMap((view) =>
      view.state === 'following' && view.members.some(({ identity }) => bytesEqual(identity, publisher))
        ? [view.name]
        : [],
    )
}

function knowsBase({ bases }: LookingNode, { base }: Lockfile): boolean {
  return bases.list().some(({ id, file }) => id === base.id && (base.file === undefined || base.file === file))
}
