// Sybils: what one compromised member can make of a community by inviting itself, over and over.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultRules, sha256, signJoin, toHex, utf8 } from '../../protocol/index.ts'
import type { CommunityRole, CommunityRules, EnclosedRecord } from '../../protocol/index.ts'
import { identityOf } from '../testing/builders.ts'
import { outcomeOf, passes } from './count-ballots.ts'
import { dueRoll } from './due.ts'
import { sortHeard } from './heard.ts'
import type { Heard, SaidOf } from './heard.ts'
import { subtreeSize } from './inviter-cap.ts'
import { PaperVillage, upgradeTo } from './testing/paper-village.ts'

/** Names `prefix 0`, `prefix 1` ... */
function many(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix} ${i}`)
}

function aVillage(honest: number, compromised: number, rules: Partial<CommunityRules> = {}): PaperVillage {
  const names = [...many('honest', honest), ...many('mallory', compromised)]
  const roles = names.map((name, i) => [name, i === 0 ? 'admin' : 'user'] as [string, CommunityRole])
  return new PaperVillage(Object.fromEntries(roles), rules)
}

function isHostile(name: string): boolean {
  return !name.startsWith('honest')
}

interface Offer {
  readonly inviter: string
  readonly guest: string
}

const identities = new Map<string, Uint8Array>()

function known(name: string): Uint8Array {
  const identity = identities.get(name) ?? identityOf(name)
  identities.set(name, identity)
  return identity
}

/** What the offers would be heard as. The join is signed; of the records only their contents are there. */
function heardOf(village: PaperVillage, offers: readonly Offer[]): Heard {
  return sortHeard(
    offers.flatMap(({ inviter, guest }, index) => {
      const seed = sha256(utf8(`${inviter} for ${guest}`)).slice(0, 16)
      const [author, guestId] = [known(inviter), known(guest)]
      const join = signJoin(village.genesis.id, guestId, seed)
      const place = { index, time: 0, device: join.key, id: sha256(join.key) }
      return [
        { ...place, author, statement: { type: 'invite/1', body: { key: join.key, role: 'user' } } },
        { ...place, author: guestId, statement: { type: 'join/1', body: join } },
      ] satisfies (SaidOf<'invite/1'> | SaidOf<'join/1'>)[]
    }),
  )
}

/** Lets in whomever the delegates would, until nobody of them comes in any more. */
function letIn(village: PaperVillage, offers: readonly Offer[]): void {
  const heard = heardOf(village, offers)
  const byGuest = new Map(offers.map((offer) => [toHex(known(offer.guest)), offer]))
  for (let roll = dueRoll(village.state, heard); roll !== undefined; roll = dueRoll(village.state, heard)) {
    const coming = roll.joins.map(({ join }) => byGuest.get(toHex(join.author))!)
    village.settle(village.roll(coming.map(({ inviter, guest }) => village.invitation(inviter, guest))))
  }
}

/** Hostile members vote yes on something, so many honest ones no. */
function outcome(village: PaperVillage, honestNo: number): string {
  const proposal = village.proposal('mallory 0', upgradeTo('trojan'))
  const hostile = village.members.filter(isHostile).map((name) => [name, 'yes'] as const)
  const honest = many('honest', honestNo).map((name) => [name, 'no'] as const)
  const ballots: EnclosedRecord[] = village.ballots(proposal, Object.fromEntries([...hostile, ...honest]))
  const applied = village.tried(village.counted(proposal, ballots, { outcome: 'accepted' }))
  return applied.kind === 'applied' ? 'accepted' : applied.why
}

describe('10,000 Sybils invited by one compromised member', () => {
  const cap = 5
  const village = aVillage(30, 1, { inviterCap: cap, quorum: 0, decision: 'majority' })
  const sybils = many('sybil', 10_000)
  // The compromised member invites some, those invite others, and so on.
  const offers = sybils.map((guest, i) => ({
    inviter: i < 10 ? 'mallory 0' : `sybil ${Math.floor(i / 10)}`,
    guest,
  }))
  letIn(village, offers)

  test('come in as often as the cap says', () => {
    expect(village.members.filter(isHostile)).toHaveLength(1 + cap)
    expect(subtreeSize(village.state, toHex(identityOf('mallory 0')))).toBe(cap)
  })

  test('change no count while more honest members vote than the bound asks; fewer, and they do', () => {
    // Trojans are unmeasured: 6 yes need a supermajority, so 4 honest no hold, and 3 don't.
    expect(outcome(village, 4)).toContain('"rejected"')
    expect(outcome(village, 3)).toBe('accepted')
  })
})

describe('whatever compromised members do', () => {
  type Move = { readonly kind: 'join' | 'leave' | 'return'; readonly by: number; readonly who: number }
  const moves = fc.array(
    fc.record({
      kind: fc.constantFrom('join' as const, 'join' as const, 'leave' as const, 'return' as const),
      by: fc.nat(),
      who: fc.nat(),
    }),
    { minLength: 12, maxLength: 30 },
  )

  function play(village: PaperVillage, gone: string[], { kind, by, who }: Move, fresh: string): void {
    const hostile = village.members.filter(isHostile)
    const inviter = hostile[by % hostile.length]
    const guest = kind === 'return' ? gone[who % gone.length] : fresh
    if (inviter === undefined) return
    if (kind === 'leave') {
      const leave = village.enclosed(inviter, 'leave/1', { since: village.member(inviter).since })
      village.settle(village.roll([], [leave]))
      gone.push(inviter)
    } else if (guest !== undefined && !hostile.includes(guest)) {
      const roll = village.roll([village.invitation(inviter, guest)])
      if (village.tried(roll).kind === 'applied') village.settle(roll)
    }
  }

  test('inviting, leaving and coming back, they are never more than their number times one and the cap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 0, max: 3 }), moves, (compromised, cap, plan) => {
        const village = aVillage(2, compromised, { inviterCap: cap })
        const gone: string[] = []
        for (const [i, move] of plan.entries()) {
          play(village, gone, move, `sybil ${i}`)
          expect(village.members.filter(isHostile).length).toBeLessThanOrEqual(compromised * (1 + cap))
        }
      }),
      { numRuns: 25 },
    )
  })
})

// Of `honest` members so many vote, all against the compromised, who vote to a man, their Sybils with them. In shares: g compromised of all
// members, t of the honest voting. Above the bound the rule falls, which shows that the bound is one.
describe('the bound on compromised members', () => {
  const worlds = fc.record({
    honest: fc.integer({ min: 1, max: 200 }),
    compromised: fc.integer({ min: 0, max: 56 }),
    cap: fc.integer({ min: 0, max: 20 }),
    voting: fc.nat(200),
  })

  interface World {
    readonly honest: number
    readonly compromised: number
    readonly cap: number
    readonly voting: number
  }

  function shares({ honest, compromised, cap, voting }: World) {
    const against = Math.min(voting, honest)
    return { g: compromised / (honest + compromised), t: against / honest, against, hostile: compromised * (1 + cap) }
  }

  const rules = { ...defaultRules, quorum: 0 }
  const notAsked = { kind: 'not-asked' } as const

  /** Close to a bound rounding decides, so nothing is said there. */
  function isBelow(g: number, bound: number): boolean | undefined {
    return Math.abs(g - bound) < 1e-9 ? undefined : g < bound
  }

  test.each([
    ['majority', (t: number, c: number) => t / (1 + c + t)],
    ['supermajority', (t: number, c: number) => (2 * t) / (1 + c + 2 * t)],
  ] as const)('under %s: below it nothing of theirs passes, above it all does', (decision, boundOf) => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { g, t, against, hostile } = shares(world)
        const below = isBelow(g, boundOf(t, world.cap))
        if (below === undefined || hostile === 0) return
        const count = { yes: hostile, no: against, abstain: 0 }
        expect(outcomeOf(count, 256, { ...rules, decision }, notAsked)).toBe(below ? 'rejected' : 'accepted')
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    ['majority', (t: number, c: number) => t / (1 + c + t)],
    ['supermajority', (t: number, c: number) => t / (2 * (1 + c) + t)],
  ] as const)('under %s: below it they can stop nothing that all honest voters want', (decision, boundOf) => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { g, t, against: wanting, hostile } = shares(world)
        const below = isBelow(g, boundOf(t, world.cap))
        if (below === undefined || wanting === 0) return
        expect(passes({ yes: wanting, no: hostile, abstain: 0 }, decision)).toBe(below)
      }),
      { numRuns: 2_000 },
    )
  })

  test('under consensus: one honest no is enough, and so is one of theirs', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { against, hostile } = shares(world)
        if (hostile === 0) return
        expect(passes({ yes: hostile, no: against, abstain: 0 }, 'consensus')).toBe(against === 0)
        expect(passes({ yes: against, no: hostile, abstain: 0 }, 'consensus')).toBe(false)
      }),
    )
  })
})
