// From what this node saw, whom it chose and what others measured to the graph that trust walks on. Pure.
import { isBarred, workOf } from './observations.ts'
import type { Observation, Subject } from './observations.ts'
import type { TrustGraph } from './walk-trust.ts'

/** A member measured a release of another's and found it better than what it was compared with. */
export interface Endorsement {
  readonly by: Subject
  readonly of: Subject
  /** Release id in hex: each counts once. */
  readonly release: string
}

export interface TrustInputs {
  readonly self: Subject
  /** Identities the user said to trust. */
  readonly chosen: ReadonlySet<Subject>
  readonly observed: readonly Observation[]
  readonly endorsements: readonly Endorsement[]
}

/** Half of the trust goes to those chosen, half to those who did something for this node. */
const chosenShare = 0.5
/** In the unit of `workOf`. The first kilobyte of a stranger earns a kilobyte's share of this, not all of it. */
const workHeldBack = 64

/**
 * Start: chosen ones get 1/2 in equal parts; one that did work w gets 1/2 w / (64 + all work), linear in w, so that splitting work among
 * names earns nothing. Edges: whom each has endorsed. That two others' measurements agree is no edge: whoever copied the receipts of a
 * trusted member would be handed its trust. An edge is always made by whom it starts from.
 */
export function trustGraph({ self, chosen, observed, endorsements }: TrustInputs): TrustGraph {
  const others = observed.filter(({ subject }) => subject !== self)
  return {
    start: startOf(new Set([...chosen].filter((one) => one !== self)), others),
    edges: edgesOf(endorsements.filter(({ by, of }) => by !== of && by !== self && of !== self)),
    barred: new Set(others.filter(isBarred).map(({ subject }) => subject)),
  }
}

function startOf(chosen: ReadonlySet<Subject>, observed: readonly Observation[]): Map<Subject, number> {
  const start = new Map<Subject, number>()
  for (const one of chosen) start.set(one, chosenShare / chosen.size)
  const work = observed.map((one) => [one.subject, workOf(one)] as const).filter(([, done]) => done > 0)
  const all = work.reduce((sum, [, done]) => sum + done, workHeldBack)
  for (const [subject, done] of work) {
    start.set(subject, (start.get(subject) ?? 0) + ((1 - chosenShare) * done) / all)
  }
  return start
}

function edgesOf(endorsements: readonly Endorsement[]): Map<Subject, Map<Subject, number>> {
  const said = new Set<string>()
  const edges = new Map<Subject, Map<Subject, number>>()
  for (const { by, of, release } of endorsements) {
    const once = `${by} ${release}`
    if (said.has(once)) continue
    said.add(once)
    const from = edges.get(by) ?? new Map<Subject, number>()
    edges.set(by, from.set(of, (from.get(of) ?? 0) + 1))
  }
  return edges
}
