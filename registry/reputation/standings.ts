// Where everybody stands with this node, and why in one sentence. Pure.
import { isBarred, workOf } from './observations.ts'
import type { Seen, Subject } from './observations.ts'
import { trustGraph } from './trust-graph.ts'
import type { TrustInputs } from './trust-graph.ts'
import { walkTrust } from './walk-trust.ts'
import type { Trust } from './walk-trust.ts'

export interface Standing {
  readonly subject: Subject
  /** 0 for newcomers, up to 1; -1 for those that are barred. */
  readonly score: number
  readonly chosen: boolean
  /** What this node saw of it, as it counts now. */
  readonly seen: Seen
  readonly trust: Trust | undefined
}

export interface Standings {
  of(subject: Subject): Standing
  /** Everybody something is known of, the most trusted first. */
  all(): Standing[]
}

const unseen: Seen = { goodBytes: 0, badBytes: 0, transfers: 0, seconds: 0, confirmed: 0, refuted: 0 }

export function standings(inputs: TrustInputs): Standings {
  const trust = walkTrust(trustGraph(inputs))
  const seen = new Map(inputs.observed.map((one) => [one.subject, one]))
  const of = (subject: Subject): Standing => {
    const own = seen.get(subject)
    return {
      subject,
      score: own !== undefined && isBarred(own) ? -1 : (trust.get(subject)?.score ?? 0),
      chosen: inputs.chosen.has(subject),
      seen: own ?? unseen,
      trust: trust.get(subject),
    }
  }
  const known = new Set([...inputs.chosen, ...seen.keys(), ...trust.keys()])
  return {
    of,
    all: () =>
      [...known]
        .filter((one) => one !== inputs.self)
        .map(of)
        .toSorted((a, b) => b.score - a.score || (a.subject < b.subject ? -1 : 1)),
  }
}

/** What a member's measurement said of a release: better, worse, or neither for sure. */
export interface Verdict {
  readonly by: Subject
  readonly verdict: 1 | 0 | -1
}

/**
 * How far a release is trusted: its publisher's score, plus that of everybody else who measured it better than what it was compared with,
 * minus that of those who measured it worse. One verdict each. Strangers' receipts weigh nothing.
 */
export function releaseScore(all: Standings, publisher: Subject, verdicts: readonly Verdict[]): number {
  const one = new Map(verdicts.filter(({ by }) => by !== publisher).map(({ by, verdict }) => [by, verdict]))
  const weighed = [...one]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([by, verdict]) => Math.max(0, all.of(by).score) * verdict)
  return weighed.reduce((sum, weight) => sum + weight, all.of(publisher).score)
}

/** One sentence, with others named by `name`. */
export function whyStanding({ score, chosen, seen, trust }: Standing, name: (subject: Subject) => string): string {
  if (score < 0) return `Asked last: ${harm(seen)}.`
  const reasons = [chosen ? 'you chose to trust it' : '', help(seen), hearsay(trust, name)].filter((one) => one !== '')
  if (score > 0) return sentence(reasons.join('; '))
  if (seen.badBytes > 0 || seen.refuted > 0) return `No better than a stranger: ${harm(seen)}.`
  return 'Nothing is known of it yet.'
}

function help(seen: Seen): string {
  if (workOf(seen) === 0) return ''
  const sent =
    seen.goodBytes > 0 ? [`it sent this node bytes that were ${seen.badBytes > 0 ? 'mostly ' : ''}right`] : []
  const repeated = seen.confirmed > 0 ? ['this node repeated what it had measured'] : []
  return [...sent, ...repeated].join(' and ')
}

function harm({ badBytes, refuted }: Seen): string {
  const wrong = badBytes > 0 ? ['it sent bytes that were wrong'] : []
  const measured = refuted > 0 ? ['this node could not repeat what it had measured'] : []
  return [...wrong, ...measured].join(' and ')
}

function hearsay(trust: Trust | undefined, name: (subject: Subject) => string): string {
  if (trust === undefined || trust.endorsers.length === 0) return ''
  const by = trust.endorsers.slice(0, 3).map(({ subject }) => name(subject))
  const bridge =
    trust.bridges.length === 0
      ? ''
      : `, which counts ${trust.bridges.length === 1 ? 'a quarter' : 'a sixteenth'}: nearly all of it comes by ${listText(trust.bridges.map(name))}`
  return `releases of it did well where ${listText(by)} measured them${bridge}`
}

function listText(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
}
