// The rules of a community as they are written on a command line.
import { MeshError } from '../../protocol/index.ts'
import { durationText } from './units.ts'

export const ruleOptions = {
  rule: {
    type: 'string',
    value: 'RULE',
    summary: 'majority, supermajority (two thirds) or consensus (no vote against)',
  },
  quorum: { type: 'string', value: 'SHARE', summary: 'Members who must vote for a decision to count, such as 50%' },
  'voting-period': { type: 'string', value: 'TIME', summary: 'How long votes are taken, such as 90s, 10m, 2h or 3d' },
  'inviter-cap': {
    type: 'string',
    value: 'N',
    summary: "Members that one member's invitations, and those of whom it invited, may bring in",
  },
} as const

interface GivenRules {
  readonly rule: string | undefined
  readonly quorum: string | undefined
  readonly 'voting-period': string | undefined
  readonly 'inviter-cap': string | undefined
}

export interface RulesWish {
  readonly decision?: string
  readonly quorum?: number
  readonly votingPeriodMs?: number
  readonly inviterCap?: number
}

const decisions = ['majority', 'supermajority', 'consensus']

/** Only what was given. Throws `usage`. */
export function parseRules(given: GivenRules): RulesWish {
  const { rule, quorum, 'voting-period': period, 'inviter-cap': cap } = given
  return {
    ...(rule === undefined ? {} : { decision: parseDecision(rule) }),
    ...(quorum === undefined ? {} : { quorum: parseShare(quorum) }),
    ...(period === undefined ? {} : { votingPeriodMs: parseDuration(period) }),
    ...(cap === undefined ? {} : { inviterCap: parseCount(cap) }),
  }
}

function parseDecision(text: string): string {
  if (decisions.includes(text)) return text
  throw new MeshError('usage', `--rule ${text}: write majority, supermajority or consensus.`)
}

/** "50%", "33.3%" or "0.5" -> 0 to 1. */
export function parseShare(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)\s?(%?)$/.exec(text)
  const share = Number(parts?.[1]) / (parts?.[2] === '%' ? 100 : 1)
  if (parts !== null && share <= 1) return Math.round(share * 1e6) / 1e6
  throw new MeshError('usage', `--quorum ${text}: write a share from 0% to 100%.`)
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const leastPeriodMs = 60_000
const longestPeriodMs = 365 * 86_400_000

/** "90s", "10m", "2h", "3d" in milliseconds. */
export function parseDuration(text: string): number {
  const parts = /^(\d{1,9})([smhd])$/.exec(text)
  const ms = Number(parts?.[1]) * (unitMs[parts?.[2] ?? ''] ?? Number.NaN)
  if (ms >= leastPeriodMs && ms <= longestPeriodMs) return ms
  throw new MeshError('usage', `--voting-period ${text}: write such as 90s, 10m, 2h or 3d; from 60s to 365d.`)
}

function parseCount(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text)
  throw new MeshError('usage', `--inviter-cap ${text}: write a number from 0 to 256.`)
}

/** "majority, 50 % must vote within 3 d, each brings in at most 5" */
export function rulesText(rules: Required<RulesWish>): string {
  const { decision, quorum, votingPeriodMs, inviterCap } = rules
  const share = `${Math.round(quorum * 1_000) / 10} %`
  return `${decision}, ${share} must vote within ${periodText(votingPeriodMs)}, each brings in at most ${inviterCap}`
}

/** As on a command line: "3d", "90s"; otherwise as other durations are shown. */
export function periodText(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const count = ms / (unitMs[unit] ?? 1)
    if (Number.isInteger(count) && count > 0) return `${count}${unit}`
  }
  return durationText(ms)
}
