// Looks at a community whenever something was said in it, was decided, or has become due, and settles what is due. Notes what was in time
// also where it settles nothing, so that what a certificate left out can be shown.
import { encodeBody, isMeshError, MeshError, toHex } from '../../protocol/index.ts'
import { isKnown } from '../communities.ts'
import type { Communities, KnownCommunity } from '../communities.ts'
import type { OwnLogs } from '../own-logs.ts'
import type { Clock } from '../ports.ts'
import type { ChainState } from './chain-state.ts'
import { idsHeld } from './compose-decision.ts'
import { asOpenProposal, openProposals, settleFrom, settlesFrom } from './due.ts'
import type { Enclosing } from './enclosing.ts'
import type { Heard, SaidOf } from './heard.ts'
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
/** After a full disk, for example: somebody may have made room. */
const retryMs = 30_000

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
    let nextAt: number
    try {
      this.#note(community)
      this.#settlementOf(community).consider()
      nextAt = this.#nextDue(community)
    } catch (error) {
      if (!isMeshError(error)) throw error
      this.#tryAgain(community, error)
      return
    }
    this.#wakeAt(community, nextAt)
  }

  /** What failed may have taken the agreement's timers along: without another look a delegate would be silent from then on. */
  #tryAgain(community: KnownCommunity, error: unknown): void {
    this.#wakeAt(community, this.#parts.clock.now() + retryMs)
    this.#parts.onFailure(error)
  }

  /** Since when what is open is held, and what was here when a deadline passed, or when a certificate came before. */
  #note(community: KnownCommunity): void {
    const { held } = this.#parts
    const { state } = community.chain
    const heard = this.#parts.heard(community)
    const nowMs = this.#parts.clock.now()
    const open = openProposals(state, heard)
    held.note(
      open.map(({ id }) => id),
      nowMs,
    )
    const past = open.filter((said) => nowMs >= settleFrom(state, asOpenProposal(said), held.since(said.id, nowMs)))
    const ended = [...past, ...this.#settled(state, heard)].filter(({ id }) => !this.#noted.has(toHex(id)))
    // Of what was decided before it was held here this node can't say what was in time.
    held.noteInTime(
      ended.filter(({ id }) => held.knownSince(id) !== undefined),
      (said) => idsHeld(state, heard, said),
    )
    for (const { id } of ended) this.#noted.add(toHex(id))
  }

  #settled(state: ChainState, { proposals }: Heard): SaidOf<'proposal/1'>[] {
    return [...state.settled.keys()].flatMap((id) => (this.#noted.has(id) ? [] : (proposals.get(id) ?? [])))
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
      onFailure: (error) => this.#tryAgain(community, error),
    })
    this.#settlements.set(community.scope, settlement)
    return settlement
  }

  /** When the next proposal's time is up; infinity if there is none. */
  #nextDue(community: KnownCommunity): number {
    const { clock, held, heard } = this.#parts
    const { state } = community.chain
    const nowMs = clock.now()
    const times = openProposals(state, heard(community)).flatMap((said) => {
      const since = held.since(said.id, nowMs)
      const proposal = asOpenProposal(said)
      return (['admins', 'members'] as const).flatMap(
        (electorate) => settlesFrom(state, proposal, since, electorate) ?? [],
      )
    })
    return Math.min(...times.filter((time) => time > nowMs)) + 1
  }

  #wakeAt({ scope }: KnownCommunity, at: number): void {
    const { clock } = this.#parts
    this.#wakes.get(scope)?.()
    this.#wakes.delete(scope)
    if (at === Number.POSITIVE_INFINITY || this.#closed) return
    const cancel = clock.schedule(Math.min(at - clock.now(), longestSleepMs), () => this.lookAt(scope))
    this.#wakes.set(scope, cancel)
  }
}
