// How far a score can be believed: by how many others it was measured, and who got something else.
import { toHex } from '../../protocol/index.ts'
import type { Manifest } from '../../protocol/index.ts'
import type { ReceiptView, Registry } from '../../registry/index.ts'

export interface Measured {
  /** In millionths. */
  readonly value: number
  readonly error: number
}

export interface Confirmation extends Measured {
  /** Identities whose own measurement agrees. */
  readonly agree: readonly Uint8Array[]
  readonly disagree: readonly { readonly by: Uint8Array; readonly value: number }[]
}

/** Two measurements agree while they are no further apart than twice the standard error of their difference, or than one hundredth. */
export function agrees(a: Measured, b: Measured): boolean {
  return Math.abs(a.value - b.value) <= Math.max(2 * Math.hypot(a.error, b.error), 10_000)
}

/** Of members' receipts, one per member, what they say of a claimed score. */
export function confirm(claim: Measured, receipts: readonly ReceiptView[]): Confirmation {
  const said = receipts.map(({ author, value, valueError }) => ({ author, value, error: valueError }))
  return {
    ...claim,
    agree: said.filter((one) => agrees(claim, one)).map(({ author }) => author),
    disagree: said.filter((one) => !agrees(claim, one)).map(({ author, value }) => ({ by: author, value })),
  }
}

/** Where nobody claims anything: the middle receipt's score (the lower of two), and who agrees with it. Undefined without receipts. */
export function middleOf(receipts: readonly ReceiptView[]): Confirmation | undefined {
  const sorted = receipts.toSorted((a, b) => a.value - b.value)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]
  return middle && confirm({ value: middle.value, error: middle.valueError }, receipts)
}

/** "92 % +- 3, confirmed by 4 of 5"; "92 % +- 3, confirmed by nobody yet". */
export function confirmationText({ value, error, agree, disagree }: Confirmation): string {
  const score = `${percent(value)} % +- ${percent(error)}`
  const all = agree.length + disagree.length
  return all === 0 ? `${score}, confirmed by nobody yet` : `${score}, confirmed by ${agree.length} of ${all}`
}

/** One digit after the point where the number is small and has one. */
function percent(millionths: number): string {
  const value = millionths / 1e4
  return String(value >= 10 ? Math.round(value) : Math.round(value * 10) / 10)
}

/** What members of the followed communities measured of a release by one suite, without its publisher's own receipts. */
export function receiptsOf(
  registry: Registry,
  release: Uint8Array,
  publisher: Uint8Array,
  suite: Uint8Array,
): ReceiptView[] {
  const byAuthor = new Map<string, ReceiptView>()
  for (const { id, state } of registry.communities()) {
    if (state !== 'following') continue
    for (const receipt of registry.governance.evaluations(id, release)) {
      const others = receipt.member && toHex(receipt.author) !== toHex(publisher)
      if (others && toHex(receipt.suite) === toHex(suite)) byAuthor.set(toHex(receipt.author), receipt)
    }
  }
  return [...byAuthor.values()]
}

export interface ConfirmedEvaluation extends Confirmation {
  readonly suite: Uint8Array
  readonly metric: string
  readonly n: number
  /** Capabilities for which a followed community bound this suite; none: it is the publisher's own. */
  readonly boundFor: readonly string[]
}

/** A release's evaluations as its publisher signed them, each with what members measured themselves. */
export function confirmedEvaluations(
  registry: Registry,
  releaseId: Uint8Array,
  manifest: Manifest,
): ConfirmedEvaluation[] {
  return manifest.evaluations.map(({ suite, metric, value, n, standardError }) => ({
    suite,
    metric,
    n,
    boundFor: boundFor(registry, suite),
    ...confirm({ value, error: standardError }, receiptsOf(registry, releaseId, manifest.publisher, suite)),
  }))
}

function boundFor(registry: Registry, suite: Uint8Array): string[] {
  const names = registry.communities().flatMap(({ id, state }) => {
    if (state !== 'following') return []
    return [...registry.governance.chain(id).suites]
      .filter(([, bound]) => toHex(bound) === toHex(suite))
      .map(([capability]) => capability)
  })
  return [...new Set(names)].toSorted()
}

/** "92 % +- 3, confirmed by 4 of 5 on the suite of the community for biology", or "... on the publisher's own suite". */
export function evaluationText(evaluation: ConfirmedEvaluation): string {
  const whose =
    evaluation.boundFor.length > 0
      ? `on the community's suite for ${evaluation.boundFor.join(', ')}`
      : "on the publisher's own suite"
  return `${confirmationText(evaluation)}, ${whose} (${evaluation.n} questions)`
}
