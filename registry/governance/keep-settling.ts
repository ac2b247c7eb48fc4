// Looks at a community whenever something was said in it, was decided, or has become due, and settles what is due. Notes what was in time
// also where it settles nothing, so that what a certificate left out can be shown.
import { encodeBody, isMeshError, MeshError, toHex } from '../../protocol/index.ts'
import { isKnown } from '../communities.ts'
import type { Communities, KnownCommunity } from '../communities.ts'
import type { OwnLogs } from '../own-logs.ts'
import type { Clock } from '../ports.ts'
import { idsHeld } from './compose-decision.ts'
import { asOpenProposal, openProposals, settleFrom, settlesFrom } from './due.ts'
import type { Enclosing } from './enclosing.ts'
import type { Heard } from './heard.ts'
import type { HeldProposals } from './held-proposals.ts'
import { Settlement } from './settlement.ts'

export interface KeepSettlingParts {
  readonly identity: Uint8Array
  readonly clock: Clock
  readonly paceMs: number
  readonly communities: Communities
  readonly own: OwnLogs
  readonly held: HeldProposals
  readonly heard: (community: KnownCommunity) => Heard
  readonly enclosing: (community: KnownCommunity) => Enclosing
  /** Whether this node may sign for its delegate now. */
  readonly allowed: (community: KnownCommunity) => boolean
  readonly onDecided: (community: KnownCommunity) => void
  readonly onMisbehaved: (community: Uint8Array, delegate: string) => void
  readonly onFailure: (error: unknown) => void
}

const longestSleepMs = 3_600_000

export class KeepSettling implements Disposable {
  readonly #parts: KeepSettlingParts
  readonly #settlements = new Map<string, Settlement>()
  readonly #wakes = new Map<string, () => void>()
  readonly #due = new Set<string>()
  /** Proposals, in hex, of which is written down what was in time. */
  readonly #noted = new Set<string>()
  #closed = false

  constructor(parts: KeepSettlingParts) {
    this.#parts = parts
  }

  /** Looks once, however often it is told. */
  lookAt(scope: string): void {
    if (this.#due.has(scope) || this.#closed) return
    this.#due.add(scope)
    queueMicrotask(() => {
      this.#due.delete(scope)
      if (!this.#closed) this.#settle(scope)
    })
  }

  forget(scope: string): void {
    this.#wakes.get(scope)?.()
    this.#settlements.get(scope)?.[Symbol.dispose]()
    this.#wakes.delete(scope)
    this.#settlements.delete(scope)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const cancel of this.#wakes.values()) cancel()
    for (const settlement of this.#settlements.values()) settlement[Symbol.dispose]()
  }

  #settle(scope: string): void {
    const community = this.#parts.communities.byScope(scope)
    if (!isKnown(community)) return
    try {
      this.#noteInTime(community)
      this.#settlementOf(community).consider()
      this.#wakeFor(community)
    } catch (error) {
      if (!isMeshError(error)) throw error
      this.#parts.onFailure(error)
    }
  }

  /** What was here when a deadline passed, or when a certificate came before. */
  #noteInTime(community: KnownCommunity): void {
    const { held, clock } = this.#parts
    const { state } = community.chain
    const heard = this.#parts.heard(community)
    const nowMs = clock.now()
    for (const said of heard.proposals.values()) {
      if (this.#noted.has(toHex(said.id))) continue
      const from = settleFrom(state, asOpenProposal(said), held.since(said.id, nowMs))
      if (nowMs < from && !state.settled.has(toHex(said.id))) continue
      held.inTime(said.id, () => idsHeld(state, heard, said))
      this.#noted.add(toHex(said.id))
    }
  }

  #settlementOf(community: KnownCommunity): Settlement {
    const known = this.#settlements.get(community.scope)
    if (known !== undefined) return known
    const { clock, paceMs, own, identity, held, heard, enclosing, allowed, onDecided, onMisbehaved } = this.#parts
    const settlement = new Settlement({
      clock,
      paceMs,
      self: toHex(identity),
      now: () => ({
        state: community.chain.state,
        heard: heard(community),
        held,
        enclosing: enclosing(community),
        nowMs: clock.now(),
      }),
      allowed: () => allowed(community),
      sign: ({ type, body }) => {
        const said = own.append({ scope: community.scope, type, body: encodeBody(type, body as never) })
        if (said.kind === 'pending') throw new MeshError('storage-failed', said.message)
      },
      onCertificate: (certificate) => {
        const outcome = community.chain.offerOpened(certificate)
        if (outcome.kind === 'appended' || outcome.kind === 'outranked') onDecided(community)
      },
      onMisbehaved: (delegate) => onMisbehaved(community.id, delegate),
    })
    this.#settlements.set(community.scope, settlement)
    return settlement
  }

  /** Looks again when the next proposal's time is up. */
  #wakeFor(community: KnownCommunity): void {
    const { clock, held, heard } = this.#parts
    this.#wakes.get(community.scope)?.()
    const { state } = community.chain
    const nowMs = clock.now()
    const times = openProposals(state, heard(community)).flatMap((said) => {
      const since = held.since(said.id, nowMs)
      const proposal = asOpenProposal(said)
      return (['admins', 'members'] as const).flatMap(
        (electorate) => settlesFrom(state, proposal, since, electorate) ?? [],
      )
    })
    const nextAt = Math.min(...times.filter((time) => time > nowMs))
    if (nextAt === Number.POSITIVE_INFINITY) return
    const cancel = clock.schedule(Math.min(nextAt - nowMs + 1, longestSleepMs), () => this.lookAt(community.scope))
    this.#wakes.set(community.scope, cancel)
  }
}
