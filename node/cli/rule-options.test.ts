import { expect, test } from 'vitest'
import { parseDuration, parseRules, parseShare, periodText, rulesText } from './rule-options.ts'

const none = { rule: undefined, quorum: undefined, 'voting-period': undefined, 'inviter-cap': undefined }

test('durations are a number and a unit, from a minute to a year', () => {
  expect(['90s', '10m', '2h', '3d', '60s', '365d'].map(parseDuration)).toEqual([
    90_000, 600_000, 7_200_000, 259_200_000, 60_000, 31_536_000_000,
  ])
  for (const text of ['59s', '366d', '10', 'm', '1.5h', '-3d', '3w', '']) {
    expect(() => parseDuration(text), text).toThrow(/--voting-period/)
  }
  expect([90_000, 600_000, 259_200_000, 5_400_000].map(periodText)).toEqual(['90s', '10m', '3d', '90m'])
})

test('a quorum is a percentage or a share', () => {
  expect(['50%', '0.5', '33.3 %', '0%', '100%', '1'].map(parseShare)).toEqual([0.5, 0.5, 0.333, 0, 1, 1])
  for (const text of ['50', '101%', '-1%', 'half', '%']) expect(() => parseShare(text), text).toThrow(/--quorum/)
})

test('only rules that were given are asked for', () => {
  expect(parseRules(none)).toEqual({})
  expect(parseRules({ ...none, rule: 'consensus', 'inviter-cap': '3' })).toEqual({
    decision: 'consensus',
    inviterCap: 3,
  })
  expect(() => parseRules({ ...none, rule: 'dictatorship' })).toThrow(/majority, supermajority or consensus/)
  expect(() => parseRules({ ...none, 'inviter-cap': 'many' })).toThrow(/--inviter-cap/)
})

test('rules are told in one line', () => {
  expect(rulesText({ decision: 'majority', quorum: 0.5, votingPeriodMs: 259_200_000, inviterCap: 5 })).toBe(
    'majority, 50 % must vote within 3d, each brings in at most 5',
  )
})
