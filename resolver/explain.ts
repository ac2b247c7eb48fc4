// Plans and lockfiles in words: where every score comes from, and why a release is there.
import { MeshError } from '../protocol/index.ts'
import type { Lockfile } from './lockfile.ts'
import type { NameWarning } from './name-warnings.ts'
import type { Gap, Match, Plan, PlannedRelease } from './plan.ts'
import type { Candidate } from './resolve-on-base.ts'
import { adequateFrom } from './retrieve.ts'

/**
 * Lines of text for people: facets, matches, gaps, what is fetched; with `every score` also what was considered and not taken. Scores are
 * plain numbers that compare within this plan.
 */
export function explainPlan(plan: Plan, detail: 'every score' | 'result' = 'every score'): string {
  if (plan.facets.length === 0) return 'Nothing was asked for: no word of this request names a subject.\n'
  const lines = [`Request  ${plan.text}`, `Facets   ${plan.facets.map(({ text }) => text).join(' · ')}`, '']
  for (const { text } of plan.facets) lines.push(...facetLines(plan, text, detail === 'every score'), '')
  lines.push(...releaseLines(plan), ...baseLines(plan), ...plan.warnings.map(warningLine))
  lines.push(`Mode     ${modeText(plan)}`)
  if (detail === 'result') return `${lines.join('\n')}\n`
  lines.push(
    `Scores   words: BM25 over stems; coverage: part of the facet's weight that the words answer; similarity: ${plan.embedder}.`,
  )
  lines.push(
    `         A release is adequate from coverage ${adequateFrom} on, or from that similarity where the embedder knows meaning.`,
  )
  return `${lines.join('\n')}\n`
}

function facetLines(plan: Plan, facet: string, withCandidates: boolean): string[] {
  const matches = plan.matches.filter((match) => match.facet === facet)
  const gap = plan.gaps.find((gap) => gap.facet === facet)
  const candidates = plan.scores.find((scores) => scores.facet === facet)?.candidates ?? []
  const lines = [facet, ...matches.map((match) => `  -> ${matchText(match)}`)]
  if (gap !== undefined) lines.push(`  gap: ${gapText(gap)}`)
  if (!withCandidates) return lines
  return [...lines, ...candidates.filter(({ score }) => score > 0).map(candidateText)]
}

function matchText(match: Match): string {
  return `${match.name}@${match.version}  score ${match.score}${match.outsider ? '  (publisher is no member of your communities)' : ''}`
}

function gapText(gap: Gap): string {
  const reasons = {
    'not-found': 'no release is about this',
    unsatisfiable: 'a release is about this, but what it requires cannot be had',
    'too-hard': 'a release is about this, but its requirements are too tangled',
    'over-budget': 'a release is about this, but does not fit into the memory budget',
  } as const
  const nearest = gap.nearest.map(({ capability, score }) => `${capability} ${score}`).join(', ')
  return [
    `${gap.capability}: ${reasons[gap.reason]}`,
    ...(gap.detail === undefined ? [] : [gap.detail.replace(/\.$/, '')]),
    nearest === '' ? 'nothing is near' : `nearest: ${nearest}`,
    `to close it: ${gap.strategy}`,
  ].join('; ')
}

function candidateText(candidate: Candidate): string {
  const { capability, release, score, words, coverage, similarity, adequate } = candidate
  const shown = release.length === 64 ? `${release.slice(0, 12)}…` : release
  return `     ${adequate ? '+' : '-'} ${capability} (${shown})  score ${score} = words ${words}, similarity ${similarity}; coverage ${coverage}`
}

function releaseLines(plan: Plan): string[] {
  if (plan.releases.length === 0) return ['Fetch    nothing']
  const toFetch = new Set(plan.fetch.map(({ release }) => release))
  return plan.releases.map((release) => {
    const required = release.requiredBy.length === 0 ? '' : `, required by ${release.requiredBy.join(', ')}`
    return `${toFetch.has(release.release) ? 'Fetch   ' : 'Held    '} ${release.name}@${release.version}  ${sizeText(release.bytes)}${required}`
  })
}

function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}

function baseLines(plan: Plan): string[] {
  return plan.otherBases.map(
    ({ id, label, files, releases }) =>
      `Base     ${label} (${id.slice(0, 12)}…) has ${releases.map(({ facet, name, version }) => `${name}@${version} for ${facet}`).join(', ')}` +
      (files.length === 0 ? '' : `; files ${files.map((file) => `${file.slice(0, 12)}…`).join(', ')}`),
  )
}

function warningLine({ kind, name, like, why }: NameWarning): string {
  const alike = {
    case: 'other capitals',
    separator: 'other separators',
    confusable: 'letters that look the same',
    'word order': 'the same words in another order',
    'one edit away': 'one letter apart',
    'two edits away': 'two letters apart',
  } as const satisfies Record<NameWarning['why'], string>
  return kind === 'release'
    ? `Warning  ${name} can be taken for ${like} (${alike[why]}), which your communities publish: make sure that it is what you want.`
    : `Warning  ${name} is not known, but ${like} is (${alike[why]}): if that was meant, ask for it.`
}

function modeText(plan: Plan): string {
  return plan.mode === 'stack' ? 'stack: all adapters work at once' : 'route: each turn goes to the adapter it is about'
}

/** One sentence or two about one release of a plan or a lockfile, by name or id. Throws `not-found`. */
export function whyRelease(subject: Plan | Lockfile, name: string): string {
  return 'format' in subject ? whyLocked(subject, name) : whyPlanned(subject, name)
}

function whyPlanned(plan: Plan, name: string): string {
  const release = plan.releases.find((release) => release.name === name || release.release === name)
  if (release === undefined) throw notThere(name, plan.releases)
  const matches = plan.matches.filter((match) => match.release === release.release)
  const answers = matches.map(({ facet, score }) => `"${facet}" (score ${score})`)
  return whyText(release, answers, release.requiredBy)
}

function whyLocked(lockfile: Lockfile, name: string): string {
  const release = lockfile.releases.find((release) => release.name === name || release.releaseId === name)
  if (release === undefined) throw notThere(name, lockfile.releases)
  return whyText(
    release,
    release.facets.map((facet) => `"${facet}"`),
    release.requiredBy,
  )
}

function whyText(
  release: Pick<PlannedRelease, 'name' | 'version'>,
  answers: readonly string[],
  requiredBy: readonly string[],
): string {
  const reasons = [
    ...(answers.length === 0 ? [] : [`it answers ${answers.join(' and ')}`]),
    ...(requiredBy.length === 0
      ? []
      : [`${requiredBy.join(' and ')} ${requiredBy.length === 1 ? 'requires' : 'require'} it`]),
  ]
  return `${release.name}@${release.version} is part of this persona because ${reasons.join(', and ')}.`
}

function notThere(name: string, releases: readonly { readonly name: string }[]): MeshError {
  const there = releases.map(({ name }) => name).join(', ')
  return new MeshError(
    'not-found',
    `${name} is not part of this persona. It is made of: ${there === '' ? 'nothing' : there}.`,
    { name },
  )
}
