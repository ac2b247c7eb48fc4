// Evaluations that a publisher claims and that members of the communities could not repeat.
import { bytesEqual, fromHex, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { ReceiptView, Registry } from '../registry/index.ts'
import type { Refutation, RefutationsOf } from './audit-personas.ts'

/** Of members other than the publisher; all of them where a community has fewer. */
const receiptsWanted = 3
/** In standard errors of the difference: by chance alone one claim in forty lies so far above. */
const errorsApart = 2

export function refutationsIn(registry: Registry): RefutationsOf {
  return (releaseId) => {
    const id = fromHex(releaseId)
    const manifest = registry.release(id)?.manifest
    if (manifest === undefined) return []
    return registry.communities().flatMap((view) => {
      if (view.state !== 'following') return []
      const others = view.members.filter(({ identity }) => !bytesEqual(identity, manifest.publisher)).length
      return refutations(manifest, registry.governance.evaluations(view.id, id), others)
    })
  }
}

/**
 * A claim is refuted when the median of what members measured, with its suite and metric on a base file that it was made on, lies below it
 * by more than two standard errors of the difference, sqrt(claim's^2 + receipt's^2) with the median receipt's. `others`: members but for the
 * publisher, whose own receipts don't count.
 */
export function refutations(
  { evaluations, publisher, base }: Pick<Manifest, 'evaluations' | 'publisher' | 'base'>,
  receipts: readonly ReceiptView[],
  others: number,
): Refutation[] {
  const counted = receipts.filter(
    ({ member, author, file }) =>
      member && !bytesEqual(author, publisher) && base.evaluatedOn.some((one) => bytesEqual(one, file)),
  )
  return evaluations.flatMap(({ suite, metric, value, standardError }): Refutation[] => {
    const its = counted.filter((receipt) => receipt.metric === metric && bytesEqual(receipt.suite, suite))
    const measured = highestOfEach(its)
    if (measured.length === 0 || measured.length < Math.min(receiptsWanted, others)) return []
    // Of an even number the higher of the two in the middle: doubt is in the publisher's favour.
    const median = measured.toSorted((a, b) => a.value - b.value)[Math.floor(measured.length / 2)]!
    if (value - median.value <= errorsApart * Math.hypot(standardError, median.valueError)) return []
    return [{ suite: toHex(suite), claimed: value, measured: median.value, receipts: measured.length }]
  })
}

/** A member that measured a release beside several others has said as many values: one counts, the one that speaks for the claim. */
function highestOfEach(receipts: readonly ReceiptView[]): ReceiptView[] {
  const byAuthor = Map.groupBy(receipts, ({ author }) => toHex(author))
  return [...byAuthor.values()].map((its) => its.reduce((best, one) => (one.value > best.value ? one : best)))
}
