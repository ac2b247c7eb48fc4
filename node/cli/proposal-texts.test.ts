import { expect, test } from 'vitest'
import { actionText, endsText, meaningText, stateText, warningText } from './proposal-texts.ts'
import type { Proposal } from './proposal-texts.ts'

const release = (name: string): { releaseId: string; release: string } => ({
  releaseId: 'ab'.repeat(32),
  release: name,
})
const upgrade = {
  kind: 'upgrade',
  capability: 'biology',
  base: { id: '00', label: 'tiny llama' },
  release: release('biology@1.8.0'),
  current: release('biology@1.7.0'),
} as const

const unmeasured = (why: string, receipts = 0, own = false): Proposal['measurement'] => ({
  kind: 'unmeasured',
  why,
  receipts,
  needed: 3,
  own,
  text: 'UNMEASURED',
})

const aProposal = (facts: Partial<Proposal> = {}): Proposal => ({
  id: 'cd'.repeat(32),
  community: { id: '00', name: 'kitchen' },
  author: 'a'.repeat(52),
  own: false,
  action: upgrade,
  proposedAt: '2026-01-01T00:00:00.000Z',
  votingEnds: '2026-01-01T02:00:00.000Z',
  state: 'open',
  count: { yes: 1, no: 0, abstain: 0 },
  voters: 3,
  quorum: 2,
  outcome: 'no-quorum',
  measurement: unmeasured('no-suite'),
  ...facts,
})

test('what is proposed is one line; a release that is not known here is shown by its id', () => {
  expect(actionText(upgrade)).toBe('upgrade biology: biology@1.7.0 -> biology@1.8.0 on tiny llama')
  const { current: _none, ...fresh } = upgrade
  expect(actionText({ ...fresh, release: { releaseId: 'ab'.repeat(32) } })).toBe(
    'upgrade biology: abababababab on tiny llama',
  )
  expect(actionText({ kind: 'remove', identity: 'b'.repeat(52), reason: 'the key was stolen' })).toBe(
    'remove bbbbbbbb: the key was stolen',
  )
})

test('what nobody measured says so in one large word while it is open, that it needs more votes, and what to do', () => {
  expect(warningText(aProposal())).toBe(
    'UNMEASURED: no suite is bound, so this needs two thirds of yes. Bind a suite with `lora-mesh propose suite biology QUESTIONS.jsonl`: upgrades are measured by it.',
  )
  expect(warningText(aProposal({ state: 'accepted' }))).toBeUndefined()
  expect(warningText(aProposal({ measurement: { kind: 'not-asked' } }))).toBeUndefined()
})

test('where measurements are missing it says how many it waits for, for what else, and who can do something', () => {
  const waiting = warningText(aProposal({ measurement: unmeasured('too-few-receipts', 1) }))
  expect(waiting).toMatch(/^UNMEASURED: 1 of 3 measurements, so/)
  expect(waiting).toContain(
    'Waiting for 2 more measurements: leave this node up (`lora-mesh up`) with the base tiny llama',
  )
  const votedAndMeasured = warningText(
    aProposal({ measurement: unmeasured('too-few-receipts', 2, true), count: { yes: 2, no: 0, abstain: 1 } }),
  )
  expect(votedAndMeasured).toContain(
    "Everybody has voted. Waiting for 1 more measurement, or for voting to end: other members' nodes measure",
  )
})

test('an upgrade to what the name means already, or to something lower, says so and with what it is compared', () => {
  const meaning = { release: release('biology@1.8.0'), proposed: 'the same', byChannel: false }
  expect(meaningText(aProposal({ meaning }))).toBe(
    'biology means biology@1.8.0 already, as the highest version; this fixes it until the next vote. It is compared with biology@1.7.0.',
  )
  const { current: _none, ...fresh } = upgrade
  expect(meaningText(aProposal({ meaning, action: fresh }))).toContain('It is compared with the bare base.')
  expect(meaningText(aProposal({ meaning: { ...meaning, byChannel: true } }))).toBe(
    'biology means biology@1.8.0 already.',
  )
  const lower = { release: release('biology@1.9.0'), proposed: 'lower', byChannel: true }
  expect(meaningText(aProposal({ meaning: lower }))).toBe(
    'biology means biology@1.9.0 now, a higher version: this would lead back to biology@1.8.0.',
  )
  expect(meaningText(aProposal({ meaning: { ...lower, proposed: 'higher' } }))).toBeUndefined()
  expect(meaningText(aProposal({ meaning: lower, state: 'accepted' }))).toBeUndefined()
})

test('an open proposal shows what it would come to and for how long, a settled one what it came to', () => {
  const start = Date.parse('2026-01-01T00:00:00Z')
  expect(stateText(aProposal())).toBe('open (so far: too few voted)')
  expect(endsText(aProposal(), start)).toBe('in 2 h 0 min')
  expect(endsText(aProposal(), start + 7_200_000)).toBe('over')
  const settled = aProposal({ state: 'measured-loser' })
  expect([stateText(settled), endsText(settled, start)]).toEqual(['rejected: it measures worse', ''])
  expect(stateText(aProposal({ state: 'void', why: 'Its author is no member.' }))).toBe(
    'void: Its author is no member.',
  )
})
