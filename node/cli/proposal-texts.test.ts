import { expect, test } from 'vitest'
import { actionText, endsText, stateText, warningText } from './proposal-texts.ts'
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
  measurement: { kind: 'unmeasured', why: 'no-suite', text: 'UNMEASURED: NO SUITE IS BOUND' },
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

test('what nobody measured says so in large letters while it is open, and that it needs more votes', () => {
  expect(warningText(aProposal())).toMatch(/^UNMEASURED: [A-Z ,]+\. IT NEEDS TWO THIRDS OF YES\./)
  expect(warningText(aProposal({ state: 'accepted' }))).toBeUndefined()
  expect(warningText(aProposal({ measurement: { kind: 'not-asked' } }))).toBeUndefined()
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
