import { expect, test } from 'vitest'
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { createNgramEmbedder, lockfileText, planRequest } from '../resolver/index.ts'
import { aHash, anAuthor } from '../testing/objects.ts'
import { highestReleases } from './current-release.ts'
import { lockPlan } from './lock-plan.ts'
import { courseOf } from './persona-course.ts'
import type { CourseInput } from './persona-course.ts'
import type { Persona } from './persona-store.ts'
import { stackable } from './plan-request.ts'
import { cardsOf } from './release-cards.ts'
import { anEntry } from './testing/catalogue-entry.ts'

const { signal } = new AbortController()
const embedder = createNgramEmbedder()
const base = { id: toHex(aHash(11)), label: 'tiny llama' }

const biology1 = anEntry({ version: '1.0.0' })
const biology2 = anEntry({ version: '2.0.0' })
const physics = anEntry({ name: 'physics', capabilities: [{ name: 'physics', description: 'forces and motion' }] })

test('a persona whose names mean what they meant stays the very same', async () => {
  const persona = await made('biology and physics', [biology1, physics])
  const { lockfile, legs } = await course(persona, [biology1, physics])
  expect(lockfile).toBe(persona.lockfile)
  expect(legs.map(({ why }) => why)).toEqual([undefined, undefined])
})

test('a newer release takes the place of the old one, and the lockfile is what a new request would have given', async () => {
  const persona = await made('biology and physics', [biology1, physics])
  const now = [biology1, biology2, physics]
  const { lockfile, entries } = await course(persona, now)
  expect(lockfileText(lockfile)).toBe(lockfileText((await made('biology and physics', now)).lockfile))
  expect(versionsOf(lockfile)).toEqual(['biology@2.0.0', 'physics@1.0.0'])
  expect(entries.map(({ releaseId }) => toHex(releaseId))).toEqual(lockfile.releases.map(({ releaseId }) => releaseId))
})

test('what a channel says counts, also when it leads back', async () => {
  const now = [biology1, biology2]
  const persona = await made('biology', now)
  expect(versionsOf(persona.lockfile)).toEqual(['biology@2.0.0'])
  const back = await course(persona, now, { currentRelease: () => toHex(biology1.releaseId) })
  expect(versionsOf(back.lockfile)).toEqual(['biology@1.0.0'])
  expect(lockfileText(back.lockfile)).toBe(lockfileText((await made('biology', [biology1])).lockfile))
})

test('a channel may lead to a release of another member', async () => {
  const other = anEntry({ version: '1.5.0', author: anAuthor(2) })
  const persona = await made('biology', [biology1])
  const { lockfile } = await course(persona, [biology1, other])
  expect(lockfile.releases).toMatchObject([{ version: '1.5.0', publisher: identityToText(anAuthor(2).identity) }])
})

test('of two releases with one name and version it is the one that the channel means', async () => {
  const rivals = [anEntry({ version: '2.0.0', author: anAuthor(2) }), biology2]
  const persona = await made('biology', [biology1])
  for (const { releaseId } of rivals) {
    const { lockfile } = await course(persona, [biology1, ...rivals], { currentRelease: () => toHex(releaseId) })
    expect(lockfile.releases).toMatchObject([{ releaseId: toHex(releaseId) }])
  }
})

test('the versions a request asked for bind every later move', async () => {
  const newest = [biology1, anEntry({ version: '1.4.0' }), biology2]
  const persona = await made('biology@^1', [biology1])
  const { lockfile, legs } = await course(persona, newest)
  expect(versionsOf(lockfile)).toEqual(['biology@1.4.0'])
  expect(legs).toMatchObject([{ latest: { manifest: { version: '2.0.0' } }, why: 'the request asks for biology@^1' }])
})

test('a publisher that was asked for is not left for another', async () => {
  const mine = identityToText(anAuthor(1).identity)
  const others = anEntry({ version: '3.0.0', author: anAuthor(2) })
  const persona = await made(`${mine}/biology`, [biology1])
  const { lockfile } = await course(persona, [biology1, biology2, others])
  expect(lockfile.releases).toMatchObject([{ version: '2.0.0', publisher: mine }])
})

test("an outsider's release follows its own publisher only", async () => {
  const author = anAuthor(3)
  const first = anEntry({ version: '1.0.0', author, outsider: true })
  const second = anEntry({ version: '1.1.0', author, outsider: true })
  const persona = await made(`${identityToText(author.identity)}/biology`, [first])
  const { lockfile } = await course(persona, [first, second, biology2])
  expect(lockfile.releases).toMatchObject([{ version: '1.1.0', publisher: identityToText(author.identity) }])
})

test('what releases require of each other holds a move back, says so, and does not hold back the others', async () => {
  const law = (version: string, range: string): CatalogueEntry =>
    anEntry({ name: 'law', version, requires: [{ name: 'biology', range }] })
  const before = [biology1, law('1.0.0', '^1'), physics]
  const persona = await made('biology, law and physics', before)
  const newPhysics = anEntry({ name: 'physics', version: '1.1.0' })
  const { lockfile, legs } = await course(persona, [...before, biology2, newPhysics])
  expect(versionsOf(lockfile)).toEqual(['biology@1.0.0', 'law@1.0.0', 'physics@1.1.0'])
  expect(legs.find(({ locked }) => locked.name === 'biology')!.why).toMatch(/law.*requires biology@\^1|biology@2/)
  const together = await course(persona, [...before, biology2, law('2.0.0', '^2')])
  expect(versionsOf(together.lockfile)).toEqual(['biology@2.0.0', 'law@2.0.0', 'physics@1.0.0'])
})

test('what the others require moves on too, comes and goes', async () => {
  const science = (version: string): CatalogueEntry => anEntry({ name: 'science', version })
  const needing = anEntry({ version: '1.0.0', requires: [{ name: 'science', range: '^1' }] })
  const persona = await made('biology', [needing, science('1.0.0')])
  expect(versionsOf(persona.lockfile)).toEqual(['biology@1.0.0', 'science@1.0.0'])
  const newer = await course(persona, [needing, science('1.0.0'), science('1.1.0')])
  expect(versionsOf(newer.lockfile)).toEqual(['biology@1.0.0', 'science@1.1.0'])
  const without = await course(persona, [needing, science('1.0.0'), biology2])
  expect(versionsOf(without.lockfile)).toEqual(['biology@2.0.0'])
})

test('a withdrawn release is kept while nothing takes its place, and left for what does', async () => {
  const persona = await made('biology', [biology1])
  const withdrawn = { ...biology1, withdrawn: 'wrong data' }
  expect((await course(persona, [withdrawn])).lockfile).toBe(persona.lockfile)
  expect(versionsOf((await course(persona, [withdrawn, biology2])).lockfile)).toEqual(['biology@2.0.0'])
})

test('a withdrawn release that is kept does not hold back the others', async () => {
  const persona = await made('biology and physics', [biology1, physics])
  const newPhysics = anEntry({ name: 'physics', version: '1.1.0' })
  const { lockfile } = await course(persona, [{ ...biology1, withdrawn: 'wrong data' }, physics, newPhysics])
  expect(versionsOf(lockfile)).toEqual(['biology@1.0.0', 'physics@1.1.0'])
})

test('a withdrawn release is never moved to', async () => {
  const persona = await made('biology', [biology1])
  expect((await course(persona, [biology1, { ...biology2, withdrawn: 'broken' }])).lockfile).toBe(persona.lockfile)
})

test('a persona with a release that nobody tells of any more stays, and says so', async () => {
  const persona = await made('biology and physics', [biology1, physics])
  const { lockfile, legs } = await course(persona, [biology2, physics])
  expect(lockfile).toBe(persona.lockfile)
  expect(legs.find(({ locked }) => locked.name === 'biology')!.why).toBe('biology@1.0.0 is no longer known here')
})

test('gaps, instructions and the file of the base are what they were', async () => {
  const persona = await made('biology and juggling', [biology1])
  const lockfile = { ...persona.lockfile, systemPrompt: 'Be brief.', base: { ...base, file: 'ab'.repeat(32) } }
  const moved = await course({ ...persona, lockfile }, [biology1, biology2])
  const { gaps, systemPrompt, base: newBase } = moved.lockfile
  expect(gaps.map(({ capability }) => capability)).toEqual(['juggling'])
  expect({ gaps, systemPrompt, base: newBase }).toEqual({ gaps: lockfile.gaps, systemPrompt, base: lockfile.base })
})

async function made(text: string, entries: readonly CatalogueEntry[]): Promise<Pick<Persona, 'lockfile' | 'note'>> {
  const plan = await planRequest({
    text,
    cards: cardsOf(entries),
    embedder,
    baseId: base.id,
    options: { maxStack: stackable },
  })
  const chosen = plan.releases.map(({ release }) => entries.find(({ releaseId }) => toHex(releaseId) === release)!)
  const note = { format: 'lora-mesh-persona/1', follows: 'float', madeAt: 1, request: text } as const
  return { lockfile: lockPlan(plan, base, chosen), note }
}

function course(
  persona: Pick<Persona, 'lockfile' | 'note'>,
  entries: readonly CatalogueEntry[],
  { currentRelease = highestReleases(entries) }: Partial<CourseInput> = {},
) {
  return courseOf(persona, { entries, currentRelease, embedder, signal })
}

function versionsOf({ releases }: Persona['lockfile']): string[] {
  return releases.map(({ name, version }) => `${name}@${version}`)
}
