// A manifest in words, every field of it: what a publisher reads before signing.
import { identityToText, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'

type Rows = readonly (readonly [label: string, text: string])[]

/** `suiteLabels`: suite digest in hex -> the name of its file. */
export function manifestText(
  manifest: Manifest,
  releaseId: string,
  suiteLabels: ReadonlyMap<string, string> = new Map(),
): string {
  const rows = [...factRows(manifest, releaseId), ...adapterRows(manifest), ...evidenceRows(manifest, suiteLabels)]
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows
    .map(([label, text]) => `${label.padEnd(width)}  ${text.replaceAll('\n', `\n${' '.repeat(width + 2)}`)}`)
    .join('\n')
}

function factRows(manifest: Manifest, releaseId: string): Rows {
  const { name, version, publisher, base, summary, capabilities, tags, licence, requires, createdAt } = manifest
  return [
    ['release', `${name}@${version}`],
    ['release id', releaseId],
    ['publisher', identityToText(publisher)],
    ['created', new Date(createdAt).toISOString()],
    ['base', `${base.label}\nid ${toHex(base.id)}\ntokenizer ${toHex(base.tokenizer)}`],
    ['measured on', base.evaluatedOn.map(toHex).join('\n')],
    ['summary', summary],
    ['capabilities', capabilities.map((one) => `${one.name}: ${one.description}`).join('\n')],
    ...optional('tags', tags.join(', ')),
    ['licence', licence],
    ...optional('requires', requires.map(requirementText).join('\n')),
  ]
}

function adapterRows({ adapter, use }: Manifest): Rows {
  const { bytes, sha256, rank, alpha, targets, dtype } = adapter
  const strength = use.scaleRange.map(millionths)
  return [
    ['adapter', `${bytes} bytes, rank ${rank}, alpha ${millionths(alpha)}, ${dtype}\nSHA-256 ${toHex(sha256)}`],
    ['targets', targets.join(', ')],
    ['strength', `${millionths(use.scale)}, from ${strength[0]} to ${strength[1]} beside others`],
    ...optional('trigger', use.trigger ?? ''),
    ...optional('system prompt', use.systemPrompt ?? ''),
  ]
}

function evidenceRows({ probe, evaluations, lineage }: Manifest, suiteLabels: ReadonlyMap<string, string>): Rows {
  const suites = evaluations.map((one) => {
    const suite = toHex(one.suite)
    return `${suiteLabels.get(suite) ?? 'suite'} ${evaluationText(one)}\n${suite}`
  })
  const parents = lineage.parents.map(({ release, scale }) => `${toHex(release)} at ${millionths(scale)}`)
  return [
    ['probe', probeText(probe)],
    ['evaluations', suites.join('\n') || 'none'],
    ['lineage', [lineage.method, ...parents].join('\n')],
  ]
}

export function evaluationText({
  metric,
  value,
  baseValue,
  n,
  standardError,
}: Manifest['evaluations'][number]): string {
  const percent = (share: number): string => (share / 1e4).toFixed(1)
  return `${metric} ${percent(value)} % (base ${percent(baseValue)} %), n = ${n}, standard error ${percent(standardError)} %`
}

export function requirementText({ publisher, name, range }: Manifest['requires'][number]): string {
  return `${publisher === undefined ? '' : `${identityToText(publisher)}/`}${name}@${range}`
}

/** What anybody can read of the adapter's training, and by how much it predicts that better than the base (natural log). */
function probeText(probe: Manifest['probe']): string {
  const lengths = probe.map(({ tokens }) => tokens.length)
  const predicted = probe.reduce((sum, { tokens }) => sum + tokens.length - 1, 0)
  const gain = probe.reduce(
    (sum, { tokens, baseNll, adapterNll }) => sum + (tokens.length - 1) * (baseNll - adapterNll),
    0,
  )
  const sizes = `${probe.length} texts of ${Math.min(...lengths)} to ${Math.max(...lengths)} tokens`
  return `${sizes}, predicted better than by the base by ${(gain / predicted / 1e6).toFixed(4)} per token`
}

function optional(label: string, text: string): Rows {
  return text === '' ? [] : [[label, text]]
}

function millionths(value: number): string {
  return String(value / 1e6)
}
