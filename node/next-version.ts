// Which version a release should get, by what changed since the last one, and which it can't have. Pure.
import semver from 'semver'
import { MeshError } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import { significantZ, zScore } from './proportion.ts'

type Evaluation = Manifest['evaluations'][number]

/** What of a release decides about its version. */
export interface VersionedShape {
  /** Hex. */
  readonly baseId: string
  readonly targets: readonly string[]
  readonly rank: number
  readonly trigger: string | undefined
  readonly systemPrompt: string | undefined
  readonly capabilities: readonly string[]
  readonly evaluations: readonly Evaluation[]
}

export interface PreviousShape extends VersionedShape {
  readonly version: string
}

export interface ProposedVersion {
  readonly version: string
  readonly step: 'first' | 'major' | 'minor' | 'patch'
  /** One sentence. */
  readonly why: string
}

/**
 * Major: what composes or asks for the last version might not work with this one. Minor: the same adapter can do more, measurably or by
 * what it says. Patch: all else.
 */
export function nextVersion(previous: PreviousShape | undefined, next: VersionedShape): ProposedVersion {
  if (previous === undefined) return { version: '1.0.0', step: 'first', why: 'It is the first release of this name.' }
  const breaking = breakingChange(previous, next)
  const reason = breaking ?? addition(previous, next)
  const step = breaking === undefined ? (reason === undefined ? 'patch' : 'minor') : 'major'
  const version = semver.inc(previous.version, step)
  if (version === null) throw new Error(`${previous.version} was published, so it is a version`)
  const since = `since ${previous.version}`
  const why = reason ?? 'same base, targets and capabilities, and no suite shows that it does better'
  return { version, step, why: `${why[0]!.toUpperCase()}${why.slice(1)} (${since}).` }
}

function breakingChange(before: VersionedShape, now: VersionedShape): string | undefined {
  if (before.baseId !== now.baseId) return 'it is for another base'
  if (before.targets.join() !== now.targets.join())
    return `it changes other tensors (${now.targets.join(', ')} instead of ${before.targets.join(', ')})`
  if (before.rank !== now.rank) return `its rank is ${now.rank} instead of ${before.rank}`
  if (before.trigger !== now.trigger) return 'its trigger changed'
  if (before.systemPrompt !== now.systemPrompt) return 'its system prompt changed'
  const lost = before.capabilities.filter((name) => !now.capabilities.includes(name))
  return lost.length === 0 ? undefined : `it no longer offers ${lost.join(', ')}`
}

function addition(before: VersionedShape, now: VersionedShape): string | undefined {
  const gained = now.capabilities.filter((name) => !before.capabilities.includes(name))
  if (gained.length > 0) return `it newly offers ${gained.join(', ')}`
  const better = changesOnSuites(before.evaluations, now.evaluations).find(({ z }) => z > significantZ)
  return (
    better &&
    `on a suite ${percent(better.now)} instead of ${percent(better.before)} are right, more than chance explains`
  )
}

export interface SuiteChange {
  readonly before: Evaluation
  readonly now: Evaluation
  /** Standard errors by which it got better. */
  readonly z: number
}

/** Suites that both were asked. Only shares can be compared: of other metrics nobody knows the spread. */
export function changesOnSuites(before: readonly Evaluation[], now: readonly Evaluation[]): SuiteChange[] {
  return now.flatMap((one) => {
    const other = before.find(({ suite, metric }) => metric === one.metric && suite.join() === one.suite.join())
    if (other === undefined || one.metric !== exactMatch) return []
    return [{ before: other, now: one, z: zScore(proportionOf(one), proportionOf(other)) }]
  })
}

/** The metric of `evaluate-suite`: the share of answers that are right word for word, in millionths. */
export const exactMatch = 'exact-match'

function proportionOf({ value, n }: Evaluation): { share: number; n: number } {
  return { share: value / 1e6, n }
}

export function percent({ value }: Pick<Evaluation, 'value'>): string {
  return `${(value / 1e4).toFixed(1)} %`
}

/**
 * Why a version can't be published after those that were, undefined if it can. What is below the newest is a backport, and stands above
 * everything in its own line (major.minor): who asked for ~1.2 must never be given something older for newer.
 */
export function versionProblem(published: readonly string[], version: string): string | undefined {
  if (published.includes(version)) return `${version} is published already: choose a higher version.`
  const line = (text: string): string => `${semver.major(text)}.${semver.minor(text)}`
  const above = published.filter((other) => line(other) === line(version) && semver.gt(other, version))
  const highest = above.toSorted(semver.rcompare)[0]
  if (highest === undefined) return undefined
  return `${version} lies below ${highest}, which is published already: the next of this line is ${semver.inc(highest, 'patch')}.`
}

/** What to know of a version below the highest one published, undefined for any other. Versions are semantic. */
export function backportNote(published: readonly string[], version: string): string | undefined {
  const highest = published.toSorted(semver.rcompare)[0]
  if (highest === undefined || semver.gte(version, highest)) return undefined
  return `${version} lies below ${highest}, the highest published: who names no version goes on getting ${highest}.`
}

/** Throws `version-taken`. */
export function requireFreeVersion(published: readonly string[], name: string, version: string, base: string): void {
  const problem = versionProblem(published, version)
  if (problem === undefined) return
  throw new MeshError('version-taken', `Of ${name} for ${base}, ${problem}`, { name, version, published })
}
