// What the name of a proposed upgrade means before it is decided: it may mean that release already, or a higher one.
import semver from 'semver'
import { bytesEqual } from '../../protocol/index.ts'
import type { ProposedAction } from '../../protocol/index.ts'
import type { Registry } from '../../registry/index.ts'
import { namedRelease } from './action-answer.ts'
import type { NamedRelease } from './action-answer.ts'

export interface NameMeaning {
  readonly release: NamedRelease
  /** The proposed one beside it, by version. */
  readonly proposed: 'the same' | 'higher' | 'lower' | 'unknown'
  /** Whether it means that by a channel, and not because it is the highest. */
  readonly byChannel: boolean
}

/** Undefined where the name means nothing, or the action is no upgrade. */
export function nameMeaning(
  registry: Registry,
  community: Uint8Array,
  action: ProposedAction,
): NameMeaning | undefined {
  if (action.kind !== 'upgrade') return undefined
  const { capability, base } = action
  const meant = registry.resolveBareName(community, capability, base)?.release
  if (meant === undefined) return undefined
  const byChannel = registry.governance
    .channels(community)
    .some((one) => one.capability === capability && bytesEqual(one.release, meant.releaseId))
  const release = namedRelease(registry, meant.releaseId)
  if (bytesEqual(meant.releaseId, action.release)) return { release, proposed: 'the same', byChannel }
  const version = registry.release(action.release)?.manifest.version
  return { release, proposed: compared(version, meant.manifest.version), byChannel }
}

function compared(proposed: string | undefined, meant: string): NameMeaning['proposed'] {
  if (proposed === undefined) return 'unknown'
  return semver.lt(proposed, meant) ? 'lower' : 'higher'
}
