// The solver against a definition: every complete choice written out, best first, and the first valid one taken.
import fc from 'fast-check'
import semver from 'semver'
import { describe, expect, it } from 'vitest'
import { aCard } from './card.fixture.ts'
import type { Card } from './cards.ts'
import { groupReleases } from './release-groups.ts'
import type { Selection } from './release-groups.ts'
import type { Wanted } from './version-rules.ts'
import { solveReleases } from './versions.ts'
import type { Solution } from './versions.ts'

interface World {
  readonly cards: readonly Card[]
  readonly wanted: readonly Wanted[]
  readonly selection: Required<Selection>
}

type Choice = ReadonlyMap<string, Card>

const names = ['a', 'b', 'c', 'd']
const ranges = ['*', '*', '^1', '^2', '>=2', '<3', '1.1.0', '2.0.0-rc.1', '^1 || ^3']

const aRequirement = fc
  .record(
    {
      publisher: fc.constantFrom(undefined, undefined, undefined, undefined, 'ann', 'eve'),
      name: fc.constantFrom(...names),
      range: fc.constantFrom(...ranges),
    },
    { requiredKeys: ['name', 'range'] },
  )
  .map(({ publisher, ...required }) => (publisher === undefined ? required : { ...required, publisher }))

const anyCard = fc
  .record({
    name: fc.constantFrom(...names),
    version: fc.constantFrom('1.0.0', '1.1.0', '2.0.0-rc.1', '2.0.0', '3.0.0'),
    publisher: fc.constantFrom(undefined, undefined, undefined, 'ann', 'ann', 'eve'),
    requires: fc.array(aRequirement, { maxLength: 2 }),
    withdrawn: fc.constantFrom(undefined, undefined, undefined, undefined, 'wrong'),
  })
  .map(({ publisher, withdrawn, ...card }) =>
    aCard({
      ...card,
      id: `${publisher ?? ''}/${card.name}@${card.version}`,
      member: publisher !== 'eve',
      ...(publisher === undefined ? {} : { publisher }),
      ...(withdrawn === undefined ? {} : { withdrawn }),
    }),
  )

const aWish = fc.record(
  {
    key: fc.constantFrom(...names, ...names, ...names, 'ann/a', 'eve/b'),
    range: fc.constantFrom(...ranges),
  },
  { requiredKeys: ['key'] },
)

const aWorld: fc.Arbitrary<World> = fc
  .record({
    cards: fc.uniqueArray(anyCard, { minLength: 8, maxLength: 18, selector: ({ id }) => id }),
    wanted: fc.array(aWish, { minLength: 1, maxLength: 3 }),
    picks: fc.tuple(fc.nat(99), fc.nat(99), fc.boolean()),
  })
  .map(({ cards, wanted, picks: [pinned, preferred, channel] }) => {
    const named = cards[preferred % Math.max(1, cards.length)]
    const pin = cards[pinned % Math.max(1, cards.length)]
    return {
      cards,
      wanted,
      selection: {
        pinned: new Set(pin === undefined ? [] : [pin.id]),
        preferred: new Map(channel && named !== undefined ? [[named.name, named.id]] : []),
      },
    }
  })

/** Of a key, best first. */
function candidates({ cards, selection }: World, key: string): Card[] {
  const first = selection.preferred.get(key)
  return cards
    .filter(({ withdrawn, id }) => withdrawn === undefined || selection.pinned.has(id))
    .filter(({ name, publisher, member }) => (member && name === key) || `${publisher}/${name}` === key)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .toSorted((a, b) => semver.rcompare(a.version, b.version))
    .toSorted((a, b) => Number(b.id === first) - Number(a.id === first))
}

function neededKey({ cards }: World, { publisher }: Card, needed: Card['requires'][number]): string {
  if (needed.publisher !== undefined) return `${needed.publisher}/${needed.name}`
  const known = cards.some(({ name, member }) => member && name === needed.name)
  return known || publisher === undefined ? needed.name : `${publisher}/${needed.name}`
}

/** All complete choices, the best first: wished keys as given, then breadth first what the chosen ones require. */
function* choices(world: World, order: readonly string[], chosen: Choice): Generator<Choice> {
  const key = order[chosen.size]
  if (key === undefined) return yield chosen
  for (const card of candidates(world, key)) {
    const needs = card.requires.map((needed) => neededKey(world, card, needed))
    yield* choices(world, [...new Set([...order, ...needs])], new Map([...chosen, [key, card]]))
  }
}

function isValid(world: World, wanted: readonly Wanted[], chosen: Choice): boolean {
  return (
    wanted.every((wish) => isGranted(world, wanted, wish, chosen.get(wish.key)!)) &&
    [...chosen.values()].every((card) =>
      card.requires.every((needed) =>
        semver.satisfies(chosen.get(neededKey(world, card, needed))!.version, needed.range),
      ),
    ) &&
    [...chosen].every(([key, card]) => {
      const same = chosen.get(`${card.publisher}/${card.name}`)
      return key !== card.name || same === undefined || same.id === card.id
    })
  )
}

function isGranted({ selection }: World, wanted: readonly Wanted[], { key, range }: Wanted, card: Card): boolean {
  if (range !== undefined) return semver.satisfies(card.version, range)
  if (wanted.some((other) => other.key === key && other.range !== undefined)) return true
  const channel = selection.preferred.get(key)
  return channel === undefined ? semver.prerelease(card.version) === null : card.id === channel
}

function bruteForce(world: World, wanted = world.wanted): Choice | undefined {
  const keys = [...new Set(wanted.map(({ key }) => key))]
  for (const chosen of choices(world, keys, new Map())) if (isValid(world, wanted, chosen)) return chosen
  return undefined
}

/** Whether each key has the best of all its releases. */
function isGreedy(world: World, chosen: Choice): boolean {
  return [...chosen].every(([key, { id }]) => candidates(world, key)[0]?.id === id)
}

function solveWorld({ cards, wanted, selection }: World, maxSteps?: number): Solution {
  return solveReleases(wanted, groupReleases(cards, selection), maxSteps)
}

const idsOf = (chosen: Choice): Record<string, string> =>
  Object.fromEntries(Array.from(chosen, ([key, { id }]) => [key, id]))

describe('on small graphs of every kind', () => {
  it('the solver finds the best choice there is, or that there is none', () => {
    let [greedy, revised, refused] = [0, 0, 0]
    fc.assert(
      fc.property(aWorld, (world) => {
        const expected = bruteForce(world)
        const found = solveWorld(world)
        if (expected === undefined) {
          refused++
          expect(found.kind).toBe('unsatisfiable')
        } else {
          if (isGreedy(world, expected)) greedy++
          else revised++
          expect(found.kind === 'solved' && idsOf(found.releases)).toEqual(idsOf(expected))
        }
      }),
      { numRuns: 3_000 },
    )
    // All three kinds are worth a look: where the best is taken at once, where choices had to be revised, and where nothing helps.
    expect(Math.min(greedy, revised, refused)).toBeGreaterThan(100)
  })

  it('a refusal is one paragraph that names wishes which already contradict each other', () => {
    fc.assert(
      fc.property(aWorld, (world) => {
        const found = solveWorld(world)
        fc.pre(found.kind === 'unsatisfiable')
        expect(found.reason).toMatch(/^[^\n]{10,2000}\.$/)
        expect(found.wishes.length).toBeGreaterThan(0)
        expect(
          bruteForce(
            world,
            world.wanted.filter(({ key }) => found.wishes.includes(key)),
          ),
        ).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  it('choice and refusal are the same whatever the order of the cards', () => {
    const shuffled = aWorld.chain((world) =>
      fc.shuffledSubarray([...world.cards], { minLength: world.cards.length }).map((cards) => ({ world, cards })),
    )
    fc.assert(
      fc.property(shuffled, ({ world, cards }) => {
        expect(solveWorld({ ...world, cards: [...cards, ...cards.slice(2)] })).toEqual(solveWorld(world))
      }),
      { numRuns: 1_000 },
    )
  })

  it('with too few steps the answer is that it is too hard, never another one', () => {
    fc.assert(
      fc.property(aWorld, fc.nat(60), (world, maxSteps) => {
        const found = solveWorld(world, maxSteps)
        expect(found.kind === 'too-hard' ? found.steps > maxSteps : found).toEqual(
          found.kind === 'too-hard' ? true : solveWorld(world),
        )
      }),
      { numRuns: 1_000 },
    )
  })
})
