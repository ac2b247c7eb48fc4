// A community starts as a signed genesis: name, rules, founding members by key. Its id is the hash of those bytes, so a link that
// carries the id is enough to recognise the true genesis, whoever hands it over.
import { z } from 'zod'
import { bytesEqual, compareBytes, concatBytes, fromBase32, toBase32 } from './bytes.ts'
import { MeshError } from './errors.ts'
import { checkAs, count, decodeAs, encodeObject, fixedBytes, plainText, publicKey, timeMs } from './fields.ts'
import type { Author } from './identity.ts'
import { limits } from './limits.ts'
import { openSealed, seal } from './sealed.ts'
import { taggedId } from './signing.ts'

/** How a community decides. */
export const rulesSchema = z.strictObject({
  /** The version of the folding rules this community computes with. */
  protocol: z.literal(1),
  decision: z.enum(['majority', 'supermajority', 'consensus']),
  /** Share of the members whose ballots a decision needs, times 1,000,000. */
  quorum: count.max(1_000_000),
  votingPeriodMs: count.min(60_000).max(365 * 24 * 3_600_000),
  /** Largest number of members that one member's invitations, and those of whom it invited, may bring in. */
  inviterCap: count.max(limits.membersMax),
})

export type CommunityRules = z.infer<typeof rulesSchema>

const genesisSchema = z.strictObject({
  format: z.literal(1),
  name: plainText(limits.nameMaxChars).min(1),
  rules: rulesSchema,
  /** Sorted by identity; at least one admin. */
  members: z
    .array(z.strictObject({ identity: publicKey, role: z.enum(['admin', 'teacher', 'user']) }))
    .min(1)
    .max(limits.membersMax),
  createdAt: timeMs,
  nonce: fixedBytes(16),
})

export type Genesis = z.infer<typeof genesisSchema>
export type CommunityRole = Genesis['members'][number]['role']

export interface OpenedGenesis {
  /** Community id, 32 bytes. */
  readonly id: Uint8Array
  readonly genesis: Genesis
  readonly founder: Uint8Array
  readonly sealed: Uint8Array
}

export const defaultRules: Genesis['rules'] = {
  protocol: 1,
  decision: 'majority',
  quorum: 500_000,
  votingPeriodMs: 3 * 24 * 3_600_000,
  inviterCap: 5,
}

/** Signs a genesis. Members are sorted; the author must be among them as an admin. */
export function createGenesis(genesis: Genesis, author: Author): OpenedGenesis {
  const members = genesis.members.toSorted((a, b) => compareBytes(a.identity, b.identity))
  const payload = encodeObject(checkAs('genesis', genesisSchema, { ...genesis, members }, 'malformed'))
  return openGenesis(seal('genesis', payload, author))
}

/** Throws `bad-signature`, `bad-certificate`, `malformed` or a decoding error. */
export function openGenesis(sealed: Uint8Array): OpenedGenesis {
  const opened = openSealed('genesis', sealed)
  const genesis = decodeAs('genesis', genesisSchema, opened.payload, limits.genesisMaxBytes, 'malformed')
  for (const [i, member] of genesis.members.entries()) {
    if (i > 0 && compareBytes(genesis.members[i - 1]!.identity, member.identity) >= 0) {
      throw new MeshError('malformed', 'The members of this genesis are not sorted, or one is named twice.')
    }
  }
  const founder = genesis.members.find((member) => bytesEqual(member.identity, opened.identity))
  if (founder?.role !== 'admin')
    throw new MeshError('bad-signature', 'This genesis is not signed by one of its admins.')
  return { id: taggedId('community', opened.payload), genesis, founder: opened.identity, sealed }
}

const linkPrefix = 'loramesh:community:'
const invitationPrefix = 'loramesh:join:'
/** Of the secret in an invitation code. */
export const invitationSeedBytes = 16

/** One line that lets one person in, once: `loramesh:join:<82 characters>`. `seed`: 16 random bytes. */
export function invitationCode(communityId: Uint8Array, seed: Uint8Array): string {
  const bytes = concatBytes(communityId, seed)
  return invitationPrefix + toBase32(concatBytes(bytes, taggedId('invitation-link', bytes).slice(0, 3)))
}

/** Throws `malformed` with what a code looks like. */
export function openInvitationCode(code: string): { readonly community: Uint8Array; readonly seed: Uint8Array } {
  const text = code.trim()
  const bytes = text.startsWith(invitationPrefix) ? fromBase32(text.slice(invitationPrefix.length)) : undefined
  const named = bytes?.slice(0, 32 + invitationSeedBytes)
  if (
    bytes?.length !== 32 + invitationSeedBytes + 3 ||
    named === undefined ||
    !bytesEqual(bytes.slice(-3), taggedId('invitation-link', named).slice(0, 3))
  ) {
    throw new MeshError(
      'malformed',
      `"${text.slice(0, 100)}" is not an invitation, or was cut or mistyped. It looks like ${invitationPrefix}abc… (82 letters and digits) and is printed by "community invite".`,
    )
  }
  return { community: named.slice(0, 32), seed: named.slice(32) }
}

/** One line that names a community: `loramesh:community:<56 characters>`. */
export function communityLink(id: Uint8Array): string {
  return linkPrefix + toBase32(concatBytes(id, linkCheck(id)))
}

/** 3 bytes: people copy links by hand, and nobody answers for an id that doesn't exist. */
function linkCheck(id: Uint8Array): Uint8Array {
  return taggedId('community-link', id).slice(0, 3)
}

/** The community id of a link. Throws `malformed` with what a link looks like. */
export function communityIdOfLink(link: string): Uint8Array {
  const text = link.trim()
  const bytes = text.startsWith(linkPrefix) ? fromBase32(text.slice(linkPrefix.length)) : undefined
  const id = bytes?.slice(0, 32)
  if (id === undefined || bytes?.length !== 35 || !bytesEqual(bytes.slice(32), linkCheck(id))) {
    throw new MeshError(
      'malformed',
      `"${text.slice(0, 100)}" is not a community link, or was cut or mistyped. It looks like ${linkPrefix}abc… (56 letters and digits) and is printed by "community create".`,
    )
  }
  return id
}
