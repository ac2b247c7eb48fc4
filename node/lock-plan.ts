// A plan and the releases it names -> the lockfile. The same plan and releases give the same bytes on every node: nothing of this node
// goes in, neither its name for the base nor the hour.
import { identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import { createLockfile } from '../resolver/index.ts'
import type { LockDetails, LockInput, Lockfile } from '../resolver/index.ts'

/** `entries`: every release of the plan. */
export function lockPlan(
  plan: LockInput['plan'],
  base: { readonly id: string; readonly label: string },
  entries: readonly CatalogueEntry[],
): Lockfile {
  const answering = new Set(plan.matches.map(({ release }) => release)).size
  const details = new Map(entries.map((entry) => [toHex(entry.releaseId), lockDetails(entry, answering)]))
  return createLockfile({ plan, base: { id: base.id, label: labelOf(entries, base.label) }, details })
}

/** As the publishers call it: nodes that named their copy of the file otherwise still get the same persona. */
function labelOf(entries: readonly CatalogueEntry[], own: string): string {
  const labels = entries.map(({ manifest }) => manifest.base.label).toSorted()
  return labels[0] ?? own
}

function lockDetails({ manifest, publisher, infohash }: CatalogueEntry, answering: number): LockDetails {
  const { adapter, use, capabilities, name } = manifest
  return {
    publisher: identityToText(publisher),
    sha256: toHex(adapter.sha256),
    bytes: adapter.bytes,
    infohash: toHex(infohash),
    scale: stackedScale(use, answering),
    capability: capabilities[0]?.name ?? name,
  }
}

/**
 * Adapters that were trained alone are too strong together: each of n is weakened by the square root of n, which keeps the length of the
 * sum of n unrelated updates that of one. Of two strong adapters this was also the measured best (NLL over both corpora: 7.48 at 0.71,
 * 7.70 at 0.5, 8.49 at 1). Millionths, within what the publisher allows.
 */
function stackedScale({ scale, scaleRange: [least, most] }: CatalogueEntry['manifest']['use'], n: number): number {
  return Math.min(most, Math.max(least, Math.round(scale / Math.sqrt(Math.max(1, n)))))
}
