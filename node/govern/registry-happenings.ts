// The registry's events as happenings. One set per registry, made when somebody first wants to see: until then nothing is compared.
import { fromHex, identityToText, toHex } from '../../protocol/index.ts'
import type { Registry, RegistryEvent } from '../../registry/index.ts'
import type { NodeOptions } from '../create-node.ts'
import { errorBody } from '../error-mapping.ts'
import { Happenings } from './happenings.ts'
import type { Happening } from './happenings.ts'
import { Lookout } from './lookout.ts'

export interface HappeningNode {
  readonly registry: Registry
  readonly options: Pick<NodeOptions, 'clock'>
}

const ofRegistry = new WeakMap<Registry, Happenings>()

/** They live as long as the registry, and end with it. */
export function happeningsOf({ registry, options }: HappeningNode): Happenings {
  const known = ofRegistry.get(registry)
  if (known !== undefined) return known
  const happenings = new Happenings(options.clock().toString(36))
  ofRegistry.set(registry, happenings)
  watchRegistry(registry, happenings)
  return happenings
}

function watchRegistry(registry: Registry, happenings: Happenings): void {
  const lookout = new Lookout(registry)
  for (const { id } of registry.communities()) lookout.look(id)
  const due = new Set<string>()
  const look = (community: string): void => {
    due.delete(community)
    for (const happening of lookout.look(fromHex(community))) happenings.tell(happening)
  }
  registry.onEvent((event) => {
    const told = happeningOf(registry, event)
    if (told !== undefined) happenings.tell(told)
    const community = touchedBy(event)
    if (community === undefined) return
    // A ballot is told before the decision that it led to.
    if (event.kind === 'decided') return look(community)
    if (due.has(community)) return
    due.add(community)
    queueMicrotask(() => {
      if (due.has(community)) look(community)
    })
  })
}

/** The community whose government is to be looked at, in hex. */
function touchedBy(event: RegistryEvent): string | undefined {
  if (event.kind === 'records') return event.key.scope === 'public' ? undefined : event.key.scope
  if (event.kind === 'decided') return toHex(event.community)
  return event.kind === 'community' ? toHex(event.id) : undefined
}

/** What an event says by itself. Decisions are told by the look that follows. */
function happeningOf(registry: Registry, event: RegistryEvent): Happening | undefined {
  switch (event.kind) {
    case 'records': {
      const { key, count } = event
      return { type: 'records', ...scopeOf(key.scope), author: identityToText(key.author), count }
    }
    case 'fork': {
      const { key, index, own } = event
      return { type: 'fork', ...scopeOf(key.scope), author: identityToText(key.author), index, own }
    }
    case 'community':
      return { type: 'community', community: toHex(event.id) }
    case 'delegate-misbehaved':
      return {
        type: 'delegate-misbehaved',
        community: toHex(event.community),
        delegate: identityToText(fromHex(event.delegate)),
      }
    case 'peers':
      return { type: 'peers', connected: registry.peers().length }
    case 'pending':
      return { type: 'pending', waiting: registry.pending().length }
    case 'peer-broke-rules':
      return { type: 'peer-broke-rules', peer: event.peer, message: event.error.message }
    case 'failed':
      return { type: 'failed', message: errorBody(event.error).message }
    case 'decided':
      return undefined
  }
}

function scopeOf(scope: string): { readonly community?: string } {
  return scope === 'public' ? {} : { community: scope }
}
