// What a proposal asks, as JSON and in a sentence. Reasons are shown as they were written.
import { identityToText, toHex } from '../../protocol/index.ts'
import type { CommunityRules, ProposedAction } from '../../protocol/index.ts'
import type { Registry } from '../../registry/index.ts'

export interface NamedRelease {
  readonly releaseId: string
  /** NAME@VERSION; absent where the release is not known here. */
  readonly release?: string
  readonly publisher?: string
}

export interface RulesAnswer {
  readonly protocol: number
  readonly decision: CommunityRules['decision']
  /** Share of the members, 0 to 1. */
  readonly quorum: number
  readonly votingPeriodMs: number
  readonly inviterCap: number
}

interface OnChannel {
  readonly capability: string
  readonly base: { readonly id: string; readonly label?: string }
  readonly release: NamedRelease
}

export type ActionAnswer =
  | ({ readonly kind: 'upgrade'; readonly current?: NamedRelease } & OnChannel)
  | ({ readonly kind: 'rollback' } & OnChannel)
  | ({ readonly kind: 'withdraw'; readonly reason: string } & OnChannel)
  | { readonly kind: 'suite'; readonly capability: string; readonly suite: string }
  | { readonly kind: 'admit'; readonly identity: string; readonly role: string }
  | { readonly kind: 'remove'; readonly identity: string; readonly reason: string }
  | { readonly kind: 'rule'; readonly rules: RulesAnswer }

type ReleaseNames = Pick<Registry, 'release'>

export function actionAnswer(registry: ReleaseNames, action: ProposedAction): ActionAnswer {
  switch (action.kind) {
    case 'upgrade': {
      const { kind, current } = action
      const before = current === undefined ? {} : { current: namedRelease(registry, current) }
      return { kind, ...onChannel(registry, action), ...before }
    }
    case 'rollback':
      return { kind: action.kind, ...onChannel(registry, action) }
    case 'withdraw':
      return { kind: action.kind, ...onChannel(registry, action), reason: action.reason }
    case 'suite':
      return { ...action, suite: toHex(action.suite) }
    case 'admit':
    case 'remove':
      return { ...action, identity: identityToText(action.identity) }
    case 'rule':
      return { kind: action.kind, rules: rulesAnswer(action.rules) }
  }
}

export function rulesAnswer({ quorum, ...rules }: CommunityRules): RulesAnswer {
  return { ...rules, quorum: quorum / 1e6 }
}

export function namedRelease(registry: ReleaseNames, id: Uint8Array): NamedRelease {
  const releaseId = toHex(id)
  const known = registry.release(id)
  if (known === undefined) return { releaseId }
  const { name, version } = known.manifest
  return { releaseId, release: `${name}@${version}`, publisher: identityToText(known.publisher) }
}

function onChannel(
  registry: ReleaseNames,
  { capability, base, release }: Extract<ProposedAction, { readonly release: Uint8Array }>,
): OnChannel {
  const label = registry.release(release)?.manifest.base.label
  return {
    capability,
    base: { id: toHex(base), ...(label === undefined ? {} : { label }) },
    release: namedRelease(registry, release),
  }
}
