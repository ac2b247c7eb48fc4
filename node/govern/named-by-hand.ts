// Communities, proposals and people as they are named by hand: by a link, a name, or the first characters of an id.
import {
  MeshError,
  bytesEqual,
  communityIdOfLink,
  identityFromText,
  identityToText,
  toHex,
} from '../../protocol/index.ts'
import type { CommunityView, MemberView, Registry } from '../../registry/index.ts'

/** Shorter beginnings of a community's id could be names. */
const communityDigits = /^[0-9a-f]{8,64}$/
const proposalDigits = /^[0-9a-f]{4,64}$/
const identityStart = /^[a-z2-7]{4,52}$/

/** A followed community. Throws `not-found`, `malformed` for a damaged link, `bad-input` where several fit. */
export function oneCommunity(registry: Pick<Registry, 'communities'>, text: string): CommunityView {
  const linked = text.trim().startsWith('loramesh:') ? communityIdOfLink(text) : undefined
  const found = registry.communities().filter((view) => {
    if (linked !== undefined) return bytesEqual(view.id, linked)
    const named = view.state === 'following' && view.name === text
    return named || (communityDigits.test(text) && toHex(view.id).startsWith(text))
  })
  const [view] = found
  if (view === undefined) {
    throw new MeshError(
      'not-found',
      `No followed community is called ${text.slice(0, 100)}: \`lora-mesh community list\` shows them.`,
      { community: text.slice(0, 100) },
    )
  }
  if (found.length === 1) return view
  throw new MeshError(
    'bad-input',
    `Several communities are called ${text}: say which by its link, ${found.map(({ link }) => link).join(' or ')}.`,
    { links: found.map(({ link }) => link) },
  )
}

export interface FoundProposal {
  readonly community: Uint8Array
  readonly id: Uint8Array
}

/** A proposal of this community, or of any followed one. Throws `not-found`, `bad-input` where several fit. */
export function oneProposal(registry: Registry, text: string, community?: Uint8Array): FoundProposal {
  const within = registry
    .communities()
    .filter(({ id, state }) => state === 'following' && (community === undefined || bytesEqual(id, community)))
  const found = proposalDigits.test(text)
    ? within.flatMap(({ id }) => registry.governance.proposals(id)).filter(({ id }) => toHex(id).startsWith(text))
    : []
  const [proposal] = found
  if (proposal === undefined) {
    throw new MeshError(
      'not-found',
      `No proposal begins with ${text.slice(0, 64)}: \`lora-mesh proposals --all\` lists them.`,
      { proposal: text.slice(0, 64) },
    )
  }
  if (found.length === 1) return proposal
  const ids = found.map(({ id }) => toHex(id))
  throw new MeshError('bad-input', `Several proposals begin with ${text}: ${ids.join(', ')}.`, { ids })
}

/** A member, by its identity or the first characters of it. Throws `not-found`, `bad-input` where several fit. */
export function oneMember(members: readonly MemberView[], text: string): MemberView {
  const found = identityStart.test(text)
    ? members.filter(({ identity }) => identityToText(identity).startsWith(text))
    : []
  const [member] = found
  if (member === undefined) {
    throw new MeshError(
      'not-found',
      `No member's identity begins with ${text.slice(0, 52)}: \`lora-mesh community members\` lists them.`,
    )
  }
  if (found.length === 1) return member
  throw new MeshError('bad-input', `The identities of several members begin with ${text}: write more of it.`, {
    identities: found.map(({ identity }) => identityToText(identity)),
  })
}

/**
 * An identity in full, or its first characters if a member of a followed community has it. Nobody else's are enough: what merely reached
 * this node may have been made to begin so. Throws `bad-input`.
 */
export function oneIdentity(registry: Pick<Registry, 'communities'>, text: string): Uint8Array {
  if (text.length >= 52 || !identityStart.test(text)) return wholeIdentity(text)
  const known = registry.communities().flatMap((view) => (view.state === 'following' ? view.members : []))
  const fitting = new Map(known.map(({ identity }) => [identityToText(identity), identity]))
  const found = [...fitting].filter(([name]) => name.startsWith(text))
  const [only] = found
  if (only === undefined) return wholeIdentity(text)
  if (found.length === 1) return only[1]
  throw new MeshError('bad-input', `The identities of several members begin with ${text}: write more of it.`, {
    identities: found.map(([name]) => name),
  })
}

/** Throws `bad-input` unless it is a whole identity. */
export function wholeIdentity(text: string): Uint8Array {
  try {
    return identityFromText(text)
  } catch (cause) {
    throw new MeshError(
      'bad-input',
      `"${text.slice(0, 80)}" is not an identity: it has 52 characters, a-z and 2-7, and \`lora-mesh init\` prints it to its owner.`,
      {},
      { cause },
    )
  }
}
