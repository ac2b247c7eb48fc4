// Tells what is new in the government of communities: the registry says only that something came, this compares with what was there.
import { identityToText, toHex } from '../../protocol/index.ts'
import { openPerAuthor } from '../../registry/index.ts'
import type { Registry, TallyView } from '../../registry/index.ts'
import { actionAnswer } from './action-answer.ts'
import { certificateAnswer } from './certificate-answer.ts'
import type { Happening } from './happenings.ts'

interface Seen {
  /** What was said, by keys that name it. */
  readonly said: Set<string>
  /** Proposals on which nothing that comes has an effect any more. */
  readonly closed: Set<string>
  /** Ids in hex, in order. */
  certificates: readonly string[]
}

export class Lookout {
  readonly #registry: Registry
  readonly #seen = new Map<string, Seen>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** What came since the last look, in the order: proposals, what was said on them, decisions. Nothing as long as the genesis is unknown. */
  look(community: Uint8Array): Happening[] {
    const id = toHex(community)
    const view = this.#registry.communities().find((one) => toHex(one.id) === id)
    if (view?.state !== 'following') {
      this.#seen.delete(id)
      return []
    }
    const seen = this.#seen.get(id) ?? { said: new Set(), closed: new Set(), certificates: [] }
    this.#seen.set(id, seen)
    return [...this.#newlySaid(community, seen), ...this.#newlyDecided(community, seen)]
  }

  #newlySaid(community: Uint8Array, seen: Seen): Happening[] {
    const { governance } = this.#registry
    const open = new Map<string, number>()
    return governance
      .proposals(community)
      .toReversed()
      .filter(({ id }) => !seen.closed.has(toHex(id)))
      .filter(({ author, standing }) => standing.kind !== 'open' || nextOf(open, toHex(author)) <= openPerAuthor)
      .flatMap(({ id, standing }) => {
        if (standing.kind !== 'open') seen.closed.add(toHex(id))
        return saidOn(this.#registry, governance.tally(community, id))
      })
      .filter(({ key }) => isNew(seen.said, key))
      .map(({ happening }) => happening)
  }

  #newlyDecided(community: Uint8Array, seen: Seen): Happening[] {
    const all = this.#registry.governance.certificates(community)
    // Where all members outranked the admins the chain goes on from an earlier place.
    const kept = all.findIndex(({ id }, at) => seen.certificates[at] !== toHex(id))
    const fresh = kept < 0 ? [] : all.slice(kept)
    // What the outranked decisions had closed may be open again.
    if (kept >= 0 && kept < seen.certificates.length) seen.closed.clear()
    if (fresh.length > 0) seen.certificates = all.map(({ id }) => toHex(id))
    return fresh.map((one) => ({ type: 'decided', ...certificateAnswer(this.#registry, one) }))
  }
}

function nextOf(counts: Map<string, number>, name: string): number {
  const next = (counts.get(name) ?? 0) + 1
  counts.set(name, next)
  return next
}

function isNew(said: Set<string>, key: string): boolean {
  if (said.has(key)) return false
  said.add(key)
  return true
}

function saidOn(registry: Registry, tally: TallyView): { readonly key: string; readonly happening: Happening }[] {
  const { id, author, action, ballots, receipts, comments, count, voters } = tally
  const about = { community: toHex(tally.community), proposal: toHex(id) }
  const named = (kind: string, ...parts: readonly unknown[]): string => JSON.stringify([kind, about.proposal, ...parts])
  return [
    {
      key: named('proposal'),
      happening: {
        type: 'proposal',
        ...about,
        author: identityToText(author),
        action: actionAnswer(registry, action),
        votingEnds: timeText(tally.deadline),
      },
    },
    ...ballots.map(({ voter, choice, time }) => ({
      key: named('ballot', toHex(voter), choice, time),
      happening: {
        type: 'ballot' as const,
        ...about,
        voter: identityToText(voter),
        choice,
        time: timeText(time),
        count,
        voters,
      },
    })),
    ...receipts.map((receipt) => ({
      key: named('evaluation', toHex(receipt.id)),
      happening: {
        type: 'evaluation' as const,
        ...about,
        author: identityToText(receipt.author),
        value: receipt.value / 1e6,
        againstValue: receipt.againstValue / 1e6,
        standardError: receipt.standardError / 1e6,
        n: receipt.n,
      },
    })),
    ...comments.map(({ author: by, text, time }) => ({
      key: named('comment', toHex(by), text, time),
      happening: { type: 'comment' as const, ...about, author: identityToText(by), text, time: timeText(time) },
    })),
  ]
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
