// Withdrawing a release: its publisher no longer recommends it. New plans don't pick it; lockfiles that name it still can, with the reason
// shown. It can't be taken back: others have read it.
import { MeshError, identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Node } from './create-node.ts'
import { oneRelease } from './find-release.ts'

export interface WithdrawalWish {
  /** See find-release.ts. */
  readonly release: string
  /** Shown to everybody who has it or finds it named. */
  readonly reason: string
}

export interface WithdrawnRelease {
  readonly release: string
  readonly releaseId: string
  readonly reason: string
  /** `pending`: it is signed into the log, and others see it, once a peer has been asked. */
  readonly state: 'withdrawn' | 'pending'
  readonly message: string | undefined
}

/** Throws `not-found` for what is none of one's own, `already-exists` when it was withdrawn for another reason. */
export function withdrawRelease(node: Node, { release, reason }: WithdrawalWish): WithdrawnRelease {
  const own = node.registry.catalogue().filter((entry) => entry.own)
  const entry = oneRelease(own, release, 'release of yours')
  if (entry.withdrawn !== undefined && entry.withdrawn !== reason) {
    throw new MeshError(
      'already-exists',
      `${shortName(entry)} is withdrawn already ("${entry.withdrawn}"); a reason can't be changed.`,
      { release: toHex(entry.releaseId), reason: entry.withdrawn },
    )
  }
  const result = node.registry.withdrawRelease(entry.releaseId, reason)
  return {
    release: `${identityToText(entry.publisher)}/${shortName(entry)}`,
    releaseId: toHex(entry.releaseId),
    reason,
    state: result.kind === 'appended' ? 'withdrawn' : 'pending',
    message: result.kind === 'appended' ? result.warning : result.message,
  }
}

function shortName({ manifest: { name, version } }: CatalogueEntry): string {
  return `${name}@${version}`
}
