import { describe, expect, it, test } from 'vitest'
import { aHash } from '../testing/objects.ts'
import { backportNote, nextVersion, versionProblem } from './next-version.ts'
import type { PreviousShape } from './next-version.ts'

function aShape(overrides: Partial<PreviousShape> = {}): PreviousShape {
  return {
    version: '1.4.2',
    baseId: 'ab',
    targets: ['attn_q', 'attn_v'],
    rank: 8,
    trigger: undefined,
    systemPrompt: undefined,
    capabilities: ['law'],
    evaluations: [],
    ...overrides,
  }
}

function onSuite(value: number, n = 100, suite = 1) {
  return { suite: aHash(suite), metric: 'exact-match', value, baseValue: 0, n, standardError: 0 }
}

describe('the next version', () => {
  it('of a name that was never published is 1.0.0', () => {
    expect(nextVersion(undefined, aShape())).toMatchObject({ version: '1.0.0', step: 'first' })
  })

  it.each([
    ['another base', { baseId: 'cd' }, 'another base'],
    ['other targets', { targets: ['attn_q'] }, 'other tensors'],
    ['another rank', { rank: 16 }, 'rank is 16 instead of 8'],
    ['another trigger', { trigger: 'counsel:' }, 'trigger'],
    ['another system prompt', { systemPrompt: 'You are a lawyer.' }, 'system prompt'],
    ['a capability less', { capabilities: ['statutes'] }, 'no longer offers law'],
  ])('with %s is a major one', (_what, change, why) => {
    const next = nextVersion(aShape(), aShape(change))
    expect(next).toMatchObject({ version: '2.0.0', step: 'major', why: expect.stringContaining(why) })
    expect(next.why).toMatch(/^[A-Z].*\(since 1\.4\.2\)\.$/)
  })

  it('that offers more, or does better on a suite by more than chance, is a minor one', () => {
    const more = nextVersion(aShape(), aShape({ capabilities: ['law', 'statutes'] }))
    expect(more).toMatchObject({ version: '1.5.0', why: expect.stringContaining('newly offers statutes') })
    const better = nextVersion(aShape({ evaluations: [onSuite(400_000)] }), aShape({ evaluations: [onSuite(600_000)] }))
    expect(better).toMatchObject({ version: '1.5.0', why: expect.stringContaining('60.0 % instead of 40.0 %') })
  })

  it.each([
    ['by no more than chance', [onSuite(400_000)], [onSuite(450_000)]],
    ['on too few questions', [onSuite(400_000, 5)], [onSuite(800_000, 5)]],
    ['on another suite', [onSuite(400_000)], [onSuite(900_000, 100, 2)]],
    ['by doing worse', [onSuite(900_000)], [onSuite(400_000)]],
  ])('that differs %s is a patch', (_how, before, now) => {
    const next = nextVersion(aShape({ evaluations: before }), aShape({ evaluations: now }))
    expect(next).toMatchObject({ version: '1.4.3', step: 'patch' })
  })

  it('after a prerelease is the release that it announced', () => {
    expect(nextVersion(aShape({ version: '2.0.0-beta.1' }), aShape()).version).toBe('2.0.0')
  })
})

test.each([
  ['1.0.0', [], undefined],
  ['1.0.0', ['1.0.0'], 'published already'],
  ['1.0.1', ['1.0.0', '2.0.0'], undefined],
  ['1.1.0', ['1.0.5', '1.2.0'], undefined],
  ['1.0.1', ['1.0.0', '1.0.2', '1.0.10'], 'the next of this line is 1.0.11'],
  ['1.0.0-rc.1', ['1.0.0'], 'lies below 1.0.0'],
  ['1.0.0', ['1.0.0-rc.1'], undefined],
])('%s after %j: %s', (version, published, problem) => {
  const found = versionProblem(published, version)
  if (problem === undefined) expect(found).toBeUndefined()
  else expect(found).toContain(problem)
})

test.each([
  ['1.2.4', ['1.2.3', '1.3.0'], 'lies below 1.3.0'],
  ['1.3.0', ['1.2.3'], undefined],
  ['1.10.0', ['1.9.0'], undefined],
  ['2.0.0-rc.1', ['1.9.0', '2.0.0'], 'lies below 2.0.0'],
  ['1.0.0', [], undefined],
])('to publish %s beside %j is a backport: %s', (version, published, note) => {
  const found = backportNote(published, version)
  if (note === undefined) expect(found).toBeUndefined()
  else expect(found).toContain(note)
})
