import { describe, expect, test } from 'vitest'
import { entryCells, logAnswer } from './log-texts.ts'

const record = {
  kind: 'record',
  id: 'abcdef0123456789'.repeat(4),
  author: 'jum23wib37byjnn6d2vdy7d4ic2jfwldy4pbdrqjiiqrlxvotciq',
  own: false,
  index: 7,
  time: '2026-01-02T03:04:05.000Z',
  type: 'ballot',
}
const release = { releaseId: 'f'.repeat(64), release: 'biology@1.8.0' }
const base = { id: 'b'.repeat(64), label: 'tiny llama' }
const action = { kind: 'upgrade', capability: 'biology', base, release }
const onProposal = { proposal: '3f2a'.repeat(16), action }
const decision = {
  position: 12,
  signers: ['a', 'b', 'c'],
  kind: 'proposal',
  ...onProposal,
  outcome: 'accepted',
  count: { yes: 5, no: 1, abstain: 0 },
}
const certificate = { ...record, kind: 'certificate', type: 'certificate', delegates: 4, decision }

function whatOf(entry: object): string | undefined {
  const [parsed] = logAnswer.parse({ entries: [{ ...record, ...entry }], older: 0, stepsHidden: 0 }).entries
  return entryCells(parsed!)[3]
}

describe('one line of the log', () => {
  test('says when by its author, who, and which record', () => {
    const { entries } = logAnswer.parse({
      entries: [
        { ...record, said: { choice: 'yes', ...onProposal } },
        { ...record, own: true, said: { choice: 'no', proposal: onProposal.proposal } },
      ],
      older: 0,
      stepsHidden: 0,
    })
    expect(entries.map(entryCells)).toEqual([
      [
        '2026-01-02T03:04:05.000Z',
        'abcdef012345',
        'jum23wib',
        'voted yes on 3f2a3f2a3f2a (upgrade biology: biology@1.8.0 on tiny llama)',
      ],
      ['2026-01-02T03:04:05.000Z', 'abcdef012345', 'you', 'voted no on 3f2a3f2a3f2a'],
    ])
  })

  test.each([
    ['log', {}, 'began this log'],
    [
      'patch',
      { from: { releaseId: 'e'.repeat(64), release: 'biology@1.7.0' }, to: release, bytes: 140_288 },
      'offered a patch biology@1.7.0 -> 1.8.0 (137.0 KiB)',
    ],
    [
      'patch',
      { from: { releaseId: 'e'.repeat(64) }, to: release, bytes: 2_048 },
      'offered a patch eeeeeeeeeeee -> biology@1.8.0 (2.0 KiB)',
    ],
    ['release', { release: { ...release, base: 'tiny llama' } }, 'published biology@1.8.0 for tiny llama'],
    ['withdrawal', { release, reason: 'forgets rivers' }, 'withdrew biology@1.8.0: forgets rivers'],
    ['proposal', { action }, 'proposed: upgrade biology: biology@1.8.0 on tiny llama'],
    ['comment', { text: 'why?', proposal: onProposal.proposal }, 'said on 3f2a3f2a3f2a: why?'],
    ['suite', { suite: '1'.repeat(64), bytes: 2_048 }, 'handed in the suite 111111111111 (2.0 KiB)'],
    [
      'evaluation',
      { release, value: 0.625, againstValue: 0.5, n: 40 },
      'measured biology@1.8.0: 62.5 % against 50 % of the bare base (40 questions)',
    ],
    ['invite', { role: 'user' }, 'invited somebody as user'],
    ['join', {}, 'asked to come in'],
    ['leave', {}, 'said to be leaving'],
    ['precommit', { round: 1, decision: '2'.repeat(64) }, 'precommitted for 222222222222 in round 1'],
    ['prevote', { round: 0 }, 'prevoted for no decision in round 0'],
    ['poem', undefined, 'said something that has no meaning here (poem)'],
  ])('%s', (type, said, what) => {
    expect(whatOf({ type, said })).toBe(what)
  })

  test('says how a certificate was decided, and by how many of those who could sign', () => {
    expect(whatOf(certificate)).toBe(
      'certificate 12: accepted 5 yes 1 no, signed by 3 of 4: upgrade biology: biology@1.8.0 on tiny llama',
    )
    const roll = { ...decision, kind: 'roll', joined: ['newcomer123'], left: ['quitter456'] }
    expect(whatOf({ ...certificate, decision: roll })).toBe(
      'certificate 12: came in: newcomer; left: quitter4, signed by 3 of 4',
    )
  })

  test('marks what does not count, and why', () => {
    const said = { choice: 'yes', proposal: onProposal.proposal }
    expect(whatOf({ said, mark: { kind: 'left-out', certificate: '9'.repeat(64) } })).toBe(
      'voted yes on 3f2a3f2a3f2a [left out of the certificate 999999999999]',
    )
    expect(whatOf({ said, mark: { kind: 'void', forkedAt: 7 } })).toContain(
      '[void: its author signed two records here]',
    )
    expect(whatOf({ said, mark: { kind: 'void', forkedAt: 3 } })).toContain(
      '[void: its author signed two records at position 3 of this log]',
    )
  })
})
