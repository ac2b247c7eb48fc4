// What members' receipts say of releases and of each other, read from the communities this node follows.
import { bytesEqual, fromHex, toHex } from '../../protocol/index.ts'
import type {
  CatalogueEntry,
  Endorsement,
  ReceiptView,
  Registry,
  Seen,
  Subject,
  Verdict,
} from '../../registry/index.ts'
import { agrees } from '../evidence/confirmations.ts'
import { identitySubject } from './subjects.ts'

/** In standard errors of the difference: by chance alone one receipt in forty lies so far off to one side. */
const errorsApart = 2

/** Members who measured somebody else's release better than what it was compared with. */
export function endorsementsIn(registry: Registry): Endorsement[] {
  return registry.catalogue({ anyPublisher: true }).flatMap(({ releaseId, publisher }) =>
    receiptsOf(registry, releaseId)
      .filter((receipt) => verdictOf(receipt) === 1)
      .map(({ author }) => ({
        by: identitySubject(author),
        of: identitySubject(publisher),
        release: toHex(releaseId),
      })),
  )
}

export function verdictsOn(registry: Registry, releaseId: Uint8Array): Verdict[] {
  return receiptsOf(registry, releaseId).map((receipt) => ({
    by: identitySubject(receipt.author),
    verdict: verdictOf(receipt),
  }))
}

function receiptsOf(registry: Registry, releaseId: Uint8Array): ReceiptView[] {
  return registry
    .communities()
    .filter(({ state }) => state === 'following')
    .flatMap(({ id }) => registry.governance.evaluations(id, releaseId))
    .filter(({ member }) => member)
}

function verdictOf({ value, againstValue, standardError }: ReceiptView): Verdict['verdict'] {
  const difference = value - againstValue
  if (Math.abs(difference) <= errorsApart * standardError) return 0
  return difference > 0 ? 1 : -1
}

export interface Comparing {
  readonly registry: Registry
  /** This node's identity. */
  readonly self: Uint8Array
  onJudged(subject: Subject, seen: Partial<Seen>): void
}

/**
 * Whenever this node says what it measured: who had said so before, publisher and members, is confirmed, and who had said something else is
 * refuted. Receipts that come later may have been copied from this one and prove nothing. Until the result is called.
 */
export function compareOwnReceipts(comparing: Comparing): () => void {
  const { registry, self } = comparing
  const compared = new Set(ownReceipts(registry, self).map(({ own }) => keyOf(own)))
  return registry.onEvent((event) => {
    if (event.kind !== 'records' || !bytesEqual(event.key.author, self) || event.key.scope === 'public') return
    for (const { own, entry, community } of ownReceipts(registry, self, fromHex(event.key.scope))) {
      if (compared.has(keyOf(own))) continue
      compared.add(keyOf(own))
      judge(comparing, own, entry, community)
    }
  })
}

interface OwnReceipt {
  readonly own: ReceiptView
  readonly entry: CatalogueEntry
  readonly community: Uint8Array
}

function ownReceipts(registry: Registry, self: Uint8Array, only?: Uint8Array): OwnReceipt[] {
  const communities = registry
    .communities()
    .filter(({ id, state }) => state === 'following' && (only === undefined || bytesEqual(id, only)))
  return registry.catalogue({ anyPublisher: true }).flatMap((entry) =>
    communities.flatMap(({ id: community }) =>
      registry.governance
        .evaluations(community, entry.releaseId)
        .filter(({ author }) => bytesEqual(author, self))
        .map((own) => ({ own, entry, community })),
    ),
  )
}

/** The same questions on the same files are one measurement, whatever it was compared with. */
function keyOf({ release, suite, file, metric }: ReceiptView): string {
  return [...[release, suite, file].map(toHex), metric].join(' ')
}

function judge(
  { registry, self, onJudged }: Comparing,
  own: ReceiptView,
  entry: CatalogueEntry,
  community: Uint8Array,
): void {
  const measured = { value: own.value, error: own.valueError }
  const claims = [...claimsOf(entry, own), ...saidBefore(registry, own, community)]
  for (const [subject, said] of new Map(claims)) {
    if (subject === identitySubject(self)) continue
    onJudged(subject, agrees(measured, said) ? { confirmed: 1 } : { refuted: 1 })
  }
}

type Claim = readonly [by: Subject, said: { readonly value: number; readonly error: number }]

function claimsOf({ manifest, publisher }: CatalogueEntry, own: ReceiptView): Claim[] {
  if (!manifest.base.evaluatedOn.some((file) => bytesEqual(file, own.file))) return []
  return manifest.evaluations
    .filter(({ suite, metric }) => metric === own.metric && bytesEqual(suite, own.suite))
    .map(({ value, standardError }) => [identitySubject(publisher), { value, error: standardError }])
}

function saidBefore(registry: Registry, own: ReceiptView, community: Uint8Array): Claim[] {
  return registry.governance
    .evaluations(community, own.release)
    .filter((receipt) => receipt.member && keyOf(receipt) === keyOf(own))
    .map(({ author, value, valueError }) => [identitySubject(author), { value, error: valueError }])
}
