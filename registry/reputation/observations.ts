// What this node saw of others itself: bytes that were right and wrong, how fast they came, measurements it could and could not repeat.
// Nobody else is told. No I/O here; node/reputation/ writes it down.

/** Who is seen: an identity (as text), the transfer key of a peer (hex; another one after each start of that peer), or a TCP address. */
export type Subject = `identity:${string}` | `noise:${string}` | `tcp:${string}`

export interface Seen {
  /** Received from it and verified. */
  readonly goodBytes: number
  /** In pieces that it sent alone and that were not what the infohash promises. */
  readonly badBytes: number
  /** Transfers in which it sent something, and how long they took together. */
  readonly transfers: number
  readonly seconds: number
  /** Measurements of it that this node's own run repeated, and that it did not. */
  readonly confirmed: number
  readonly refuted: number
}

export interface Observation extends Seen {
  readonly subject: Subject
  /** As of which day since 1970 the numbers are; they shrink from then on. The hour is nobody's business. */
  readonly day: number
}

const dayMs = 24 * 3_600_000
/** Epoch decay: what was seen counts half after this long. */
export const halfLifeMs = 90 * dayMs
export const observedMax = 4_096

const nothing: Seen = { goodBytes: 0, badBytes: 0, transfers: 0, seconds: 0, confirmed: 0, refuted: 0 }

export class Observations {
  readonly #max: number
  readonly #bySubject = new Map<Subject, Observation>()

  constructor(known: Iterable<Observation> = [], max = observedMax) {
    this.#max = max
    for (const observation of known) this.#bySubject.set(observation.subject, observation)
    this.#forgetLeast()
  }

  add(subject: Subject, seen: Partial<Seen>, nowMs: number): void {
    const before = this.of(subject, nowMs)
    this.#bySubject.set(subject, { subject, day: dayOf(nowMs), ...mapSeen((name) => before[name] + (seen[name] ?? 0)) })
    this.#forgetLeast()
  }

  /** As it counts at that time. */
  of(subject: Subject, nowMs: number): Seen {
    const known = this.#bySubject.get(subject)
    return known === undefined ? nothing : aged(known, nowMs)
  }

  /** In the order of their names: nothing that follows from them depends on who came first. */
  all(nowMs: number): Observation[] {
    return [...this.#bySubject.values()].map((one) => aged(one, nowMs)).toSorted(byName)
  }

  /** The least telling go, not the oldest: else many who did next to nothing would wash away those who did much. */
  #forgetLeast(): void {
    const surplus = this.#bySubject.size - this.#max
    if (surplus <= 0) return
    const telling = [...this.#bySubject.values()].toSorted((a, b) => evidenceIn(a) - evidenceIn(b) || byName(a, b))
    for (const { subject } of telling.slice(0, surplus)) this.#bySubject.delete(subject)
  }
}

function aged(observation: Observation, nowMs: number): Observation {
  // A clock that was set back makes nothing grow.
  const day = Math.max(dayOf(nowMs), observation.day)
  const share = 2 ** ((-(day - observation.day) * dayMs) / halfLifeMs)
  return { subject: observation.subject, day, ...mapSeen((name) => observation[name] * share) }
}

function dayOf(nowMs: number): number {
  return Math.floor(nowMs / dayMs)
}

function mapSeen(of: (name: keyof Seen) => number): Seen {
  return {
    goodBytes: of('goodBytes'),
    badBytes: of('badBytes'),
    transfers: of('transfers'),
    seconds: of('seconds'),
    confirmed: of('confirmed'),
    refuted: of('refuted'),
  }
}

function byName(a: Observation, b: Observation): number {
  return a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0
}

const workUnitBytes = 2 ** 20
/** A repeated measurement costs minutes of computing, and so does a made-up one that others must refute. */
const confirmedWork = 16
const refutedWork = 48
/** Asking again elsewhere costs more than the bytes. */
const badFactor = 16
/** One bad piece or one refuted measurement can be a broken disk or bad luck: who owes no more than this is only no better than a stranger. */
const forgivenWork = 50

/**
 * What it did for this node, in MiB of right bytes or their like: good + 16 confirmed - 16 bad - 48 refuted. It is linear, so the same work
 * done under several names counts as under one. Harm beyond the work counts as 0 here and in `isBarred`.
 */
export function workOf(seen: Seen): number {
  return Math.max(0, balance(seen))
}

/** It did more harm than is forgiven: worse than a stranger. */
export function isBarred(seen: Seen): boolean {
  return balance(seen) < -forgivenWork
}

function balance({ goodBytes, badBytes, confirmed, refuted }: Seen): number {
  return (goodBytes - badFactor * badBytes) / workUnitBytes + confirmedWork * confirmed - refutedWork * refuted
}

function evidenceIn({ goodBytes, badBytes, confirmed, refuted }: Seen): number {
  return (goodBytes + badFactor * badBytes) / workUnitBytes + confirmedWork * confirmed + refutedWork * refuted
}
