import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type {
  DiffSide,
  Difference,
  EvaluationChange,
  PersonaDifference,
  ReleaseDifference,
} from '../../diff-releases.ts'
import type { CallContext, HttpClient } from '../../http/index.ts'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { bytesText, tableText } from '../units.ts'

export const diffCommand = command({
  name: 'diff',
  summary: 'Say what differs between two releases, adapter files or personas',
  description:
    'A and B: NAME@VERSION, PUBLISHER/NAME@VERSION, the first digits of a release id, a persona, or a file (an adapter or a lockfile).\nOf adapters the relative change of the update is shown per kind of matrix: ||dW_b - dW_a|| / ||dW_a|| (Frobenius).',
  positionals: 'A B',
  minPositionals: 2,
  maxPositionals: 2,
  options: {},
  examples: ['lora-mesh diff biology@1.7.0 biology@1.8.0', 'lora-mesh diff old.gguf new.gguf --json'],
  async run({ positionals: [a = '', b = ''], node, signal, terminal }) {
    const [one, other] = [sideOf(a), sideOf(b)]
    const emit = showProgress(terminal)
    const difference =
      'path' in one && 'path' in other
        ? await diffFiles(one, other, { signal, emit })
        : await diffNamed(await node(), one, other, { signal, emit })
    return { json: difference, text: differenceText(difference) }
  },
})

/** Needs no node. */
async function diffFiles(a: DiffSide, b: DiffSide, context: CallContext): Promise<Difference> {
  const { diffReleases } = await import('../../diff-releases.ts')
  return diffReleases(undefined, a, b, context)
}

async function diffNamed(
  client: HttpClient,
  a: DiffSide,
  b: DiffSide,
  { signal, emit }: CallContext,
): Promise<Difference> {
  return (await client.call('POST', '/v1/diff', { a, b }, { signal, onEvent: emit })) as Difference
}

function sideOf(text: string): DiffSide {
  return existsSync(text) ? { path: resolve(text) } : { name: text }
}

/** As people read it: dates in ISO 8601, shares as per cent. */
export function differenceText(difference: Difference): string {
  const title = `${difference.a} -> ${difference.b}`
  if (difference.same) return `${title}: no difference.`
  return [title, ...(difference.kind === 'personas' ? personaLines(difference) : releaseLines(difference))].join('\n')
}

function personaLines({ fields, releases }: PersonaDifference): string[] {
  const side = (one: PersonaDifference['releases'][number]['a']): string =>
    one === undefined ? '-' : `${one.version} at ${one.scale / 1e6} by ${one.publisher.slice(0, 8)}`
  return table([...fieldRows(fields), ...releases.map(({ name, a, b }) => [name, side(a), side(b)])])
}

function releaseLines({ fields, evaluations, bytes, adapter, why }: ReleaseDifference): string[] {
  const size = bytes.a === bytes.b ? [] : [['size', bytesText(bytes.a), bytesText(bytes.b)]]
  const changes =
    adapter &&
    [adapter.all, ...adapter.kinds].map(({ kind, matrices, normA, normB, relativeChange }) => [
      kind,
      String(matrices),
      normA.toPrecision(4),
      normB.toPrecision(4),
      relativeChange === undefined ? 'new' : percentText(relativeChange),
    ])
  const said = table([...fieldRows(fields), ...size, ...evaluations.map(evaluationRow)])
  return [
    ...said,
    ...(changes === undefined
      ? []
      : [
          ...(said.length === 0 ? [] : ['']),
          ...table([['update of', 'matrices', '|a|', '|b|', 'change'], ...changes]),
        ]),
    ...(why === undefined ? [] : [why]),
  ]
}

function fieldRows(fields: ReleaseDifference['fields']): string[][] {
  return fields.map(({ field, a, b }) => [field, valueText(field, a), valueText(field, b)])
}

function evaluationRow({ suite, metric, a, b }: EvaluationChange): string[] {
  const side = (one: EvaluationChange['a']): string =>
    one === undefined ? '-' : `${shareText(one.value)} +- ${shareText(one.standardError)} (n ${one.n})`
  return [`${metric} on ${suite.slice(0, 12)}, by its publisher`, side(a), side(b)]
}

/** `createdAt` of a manifest is in milliseconds since 1970. */
function valueText(field: string, value: unknown): string {
  if (value === undefined) return '-'
  if (field === 'createdAt' && typeof value === 'number') return new Date(value).toISOString()
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Of millionths. */
function shareText(millionths: number): string {
  return `${(millionths / 1e4).toFixed(1)} %`
}

function percentText(share: number): string {
  const percent = share * 100
  return percent > 0 && percent < 0.05 ? 'below 0.1 %' : `${percent.toFixed(1)} %`
}

function table(rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [tableText(rows)]
}
