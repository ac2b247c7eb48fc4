// Who built on which certificate: signed something that names it or a later one, and so can't say that it was never decided. A proposal
// names the certificates it rests on and a ballot its proposal; a leave names the certificate by which its author came in. Dates prove
// nothing, receipts and invitations name no certificate. A ballot says nothing about the certificate that it is in, only about those that its
// proposal names: who voted need never have learnt of the outcome. Precommits are left out although they name one: of one certificate there
// can be copies under which different delegates signed, and what is said here must follow from certificate ids alone.
import { bodyOf, readEnclosed, toHex } from '../../protocol/index.ts'
import type { Decision, OpenedDecision } from '../../protocol/index.ts'

interface Voice {
  readonly author: Uint8Array
  readonly names: readonly Uint8Array[]
}

export class BuiltOn {
  /** By certificate id in hex. */
  readonly #positions = new Map<string, number>()
  /** By identity in hex: the latest position that it named. */
  readonly #named = new Map<string, number>()
  /** By identity in hex: where it spoke last, as a member. */
  readonly #spoke = new Map<string, number>()

  /** The next certificate of a chain. Throws `malformed` for one that holds no proposal where there should be one. */
  add(certificate: OpenedDecision): void {
    const { position } = certificate.decision
    for (const { author, names } of voicesIn(certificate)) {
      const name = toHex(author)
      this.#spoke.set(name, position)
      const named = names.map((id) => this.#positions.get(toHex(id)) ?? -1)
      this.#named.set(name, Math.max(this.#named.get(name) ?? -1, ...named))
    }
    this.#positions.set(toHex(certificate.id), position)
  }

  /** How many of these, the members at a position (in hex), built on the certificate there. */
  members(members: ReadonlySet<string>, position: number): number {
    return [...members].filter((member) => (this.#named.get(member) ?? -1) >= position).length
  }

  /** How many people who were no members at a position have come in since and spoken. */
  newcomers(members: ReadonlySet<string>, position: number): number {
    return [...this.#spoke].filter(([author, at]) => at > position && !members.has(author)).length
  }
}

function voicesIn({ decision }: OpenedDecision): Voice[] {
  const { community, settled } = decision
  return settled.kind === 'roll' ? rollVoices(community, settled) : countVoices(community, settled)
}

/** Whoever joins is no member yet when it says so. */
function rollVoices(
  community: Uint8Array,
  { joins, leaves }: Extract<Decision['settled'], { readonly kind: 'roll' }>,
): Voice[] {
  const invites = joins.map(({ invite: [author] }) => ({ author, names: [] }))
  const gone = leaves.map((leave) => ({
    author: leave[0],
    names: [bodyOf(readEnclosed(leave, community), 'leave/1').since],
  }))
  return [...invites, ...gone]
}

function countVoices(
  community: Uint8Array,
  { proposal, ballots, receipts }: Extract<Decision['settled'], { readonly kind: 'proposal' }>,
): Voice[] {
  const { membership, replaces } = bodyOf(readEnclosed(proposal, community), 'proposal/1')
  const voters = [proposal, ...ballots].map(([author]) => ({ author, names: [membership, replaces] }))
  return [...voters, ...receipts.map(([author]) => ({ author, names: [] }))]
}
