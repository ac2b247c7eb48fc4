// The search for releases that go together: conflict-driven, as SAT solvers and PubGrub do it. Each conflict is traced back to the choices
// behind it; what is learnt from it is kept, and the search goes back to the last choice that matters instead of the last one made.
//
// Keys are decided in one order: the wished ones as given, then, breadth first, those that the decided releases open. Each takes its best
// state that nothing learnt rules out. Nogoods only ever rule out what has no solution below the choices made so far, so the first
// solution found is the best one: no key could have a better release without one earlier in the order having a worse one.
import type { ReleaseKey } from './release-groups.ts'
import type { Nogood, States, VersionRules } from './version-rules.ts'

export type SearchResult =
  | { readonly kind: 'solved'; readonly indexes: ReadonlyMap<ReleaseKey, number>; readonly steps: number }
  /** `nogood` has no terms; its origins tell why. */
  | { readonly kind: 'contradiction'; readonly nogood: Nogood; readonly steps: number }
  | { readonly kind: 'too-hard'; readonly steps: number }

type SearchRules = Omit<VersionRules, 'allowed'>

/** One key's states becoming fewer. */
interface Narrowing {
  readonly states: States
  /** How many decisions had been made, this one included. */
  readonly level: number
  readonly place: number
  /** Absent for a decision. */
  readonly cause: Nogood | undefined
}

interface Variable {
  readonly key: ReleaseKey
  readonly everything: States
  states: States
  readonly narrowings: Narrowing[]
  readonly nogoods: Nogood[]
  inConflict: boolean
}

const absent = 1n

/**
 * A step is a decision, a resolution, a look at a nogood or the comparison of a version with a range: `maxSteps` bounds the work, whatever
 * the graph and the machine.
 */
export function searchVersions(rules: SearchRules, maxSteps: number): SearchResult {
  return new Search(rules, maxSteps).run()
}

class Search {
  readonly #rules: SearchRules
  readonly #maxSteps: number
  readonly #comparedBefore: number
  #ownSteps = 0
  readonly #variables = new Map<ReleaseKey, Variable>()
  readonly #known = new Set<Nogood>()
  /** The variables narrowed, in time. */
  readonly #trail: Variable[] = []
  readonly #changed = new Set<Variable>()
  /** Keys to be decided; the one at n is decided at level n + 1. */
  readonly #order: ReleaseKey[] = []
  readonly #ordered = new Set<ReleaseKey>()
  /** Length of the order before each decision. */
  readonly #orderLengths: number[] = []

  constructor(rules: SearchRules, maxSteps: number) {
    this.#rules = rules
    this.#maxSteps = maxSteps
    this.#comparedBefore = rules.comparisons()
  }

  get #steps(): number {
    return this.#ownSteps + this.#rules.comparisons() - this.#comparedBefore
  }

  run(): SearchResult {
    this.#open(this.#rules.wishes)
    let conflict = this.#add(this.#rules.wishes) ?? this.#propagate()
    for (;;) {
      if (conflict !== undefined) {
        const learnt = this.#learn(conflict)
        if (learnt.terms.size === 0) return { kind: 'contradiction', nogood: learnt, steps: this.#steps }
        conflict = this.#add([learnt, ...this.#requirementsOf(learnt.terms.keys())])
      } else {
        const key = this.#order[this.#orderLengths.length]
        if (key === undefined) return { kind: 'solved', indexes: this.#indexes(), steps: this.#steps }
        conflict = this.#decide(key)
      }
      conflict ??= this.#propagate()
      if (this.#steps > this.#maxSteps) return { kind: 'too-hard', steps: this.#steps }
    }
  }

  /** Takes the best state left, and adds what follows from that release. */
  #decide(key: ReleaseKey): Nogood | undefined {
    this.#ownSteps++
    const variable = this.#variable(key)
    const best = variable.states & -variable.states
    if (best === absent) throw new Error(`${key} is to be decided and may be absent`)
    this.#orderLengths.push(this.#order.length)
    if (variable.states !== best) this.#narrow(variable, best, undefined)
    const entailed = this.#rules.entailed(key, indexOf(best))
    this.#open(entailed)
    return this.#add(entailed)
  }

  /** Once a key has been part of a conflict, it is worth knowing what each of its releases requires, and not only the ones tried. */
  #requirementsOf(keys: Iterable<ReleaseKey>): Nogood[] {
    const found: Nogood[] = []
    for (const key of keys) {
      const variable = this.#variable(key)
      if (variable.inConflict) continue
      variable.inConflict = true
      for (const nogood of this.#rules.requirements(key)) {
        found.push(nogood)
        if (this.#steps > this.#maxSteps) return found
      }
    }
    return found
  }

  #open(nogoods: readonly Nogood[]): void {
    for (const { opens } of nogoods) {
      if (opens === undefined || this.#ordered.has(opens)) continue
      this.#ordered.add(opens)
      this.#order.push(opens)
    }
  }

  /** Keeps nogoods and draws the conclusions from them. Returns one that is violated. */
  #add(nogoods: readonly Nogood[]): Nogood | undefined {
    for (const nogood of nogoods) {
      if (this.#known.has(nogood)) continue
      this.#known.add(nogood)
      for (const key of nogood.terms.keys()) this.#variable(key).nogoods.push(nogood)
    }
    return nogoods.find((nogood) => this.#violated(nogood))
  }

  /** Draws conclusions until there are no more, or one nogood is violated. */
  #propagate(): Nogood | undefined {
    for (const variable of this.#changed) {
      this.#changed.delete(variable)
      // The latest learnt say most.
      for (let i = variable.nogoods.length - 1; i >= 0; i--) {
        if (this.#violated(variable.nogoods[i]!)) return variable.nogoods[i]
      }
      if (this.#steps > this.#maxSteps) return undefined
    }
    return undefined
  }

  /** Whether all terms hold. Where all but one do, that one's states are ruled out. */
  #violated(nogood: Nogood): boolean {
    this.#ownSteps++
    let open: [Variable, States] | undefined
    for (const [key, states] of nogood.terms) {
      const variable = this.#variable(key)
      const common = variable.states & states
      if (common === variable.states) continue
      if (common === 0n || open !== undefined) return false
      open = [variable, common]
    }
    if (open === undefined) return true
    const [variable, common] = open
    this.#narrow(variable, variable.states ^ common, nogood)
    return false
  }

  #narrow(variable: Variable, states: States, cause: Nogood | undefined): void {
    variable.narrowings.push({ states, level: this.#orderLengths.length, place: this.#trail.length, cause })
    variable.states = states
    this.#trail.push(variable)
    this.#changed.add(variable)
  }

  /**
   * Follows a violated nogood back until what is left of it depends on one key's states at its latest level, and undoes everything after
   * the level before. Without terms: there is no solution.
   */
  #learn(violated: Nogood): Nogood {
    this.#changed.clear()
    let nogood = violated
    while (nogood.terms.size > 0) {
      const { variable, latest, levelBefore } = this.#satisfaction(nogood)
      if (latest.level > 0 && (levelBefore < latest.level || latest.cause === undefined)) {
        this.#undoAfter(levelBefore)
        return nogood
      }
      nogood = this.#resolve(nogood, latest.cause!, variable)
    }
    return nogood
  }

  /** The narrowing that was the last to make a violated nogood hold, and the level at which its other terms held. */
  #satisfaction(nogood: Nogood): { variable: Variable; latest: Narrowing; levelBefore: number } {
    let found: { variable: Variable; latest: Narrowing } | undefined
    let levelBefore = 0
    for (const [key, states] of nogood.terms) {
      const variable = this.#variable(key)
      const narrowing = variable.narrowings.find((narrowing) => (narrowing.states & states) === narrowing.states)!
      if (found === undefined || narrowing.place > found.latest.place) {
        levelBefore = Math.max(levelBefore, found?.latest.level ?? 0)
        found = { variable, latest: narrowing }
      } else {
        levelBefore = Math.max(levelBefore, narrowing.level)
      }
    }
    return { ...found!, levelBefore }
  }

  /** Both say what can't be together with some states of `pivot`; with all the rest true, either set of states is impossible. */
  #resolve(a: Nogood, b: Nogood, pivot: Variable): Nogood {
    this.#ownSteps += a.terms.size + b.terms.size
    const terms = new Map(a.terms)
    for (const [key, states] of b.terms) {
      const others = terms.get(key)
      if (others === undefined) terms.set(key, states)
      else terms.set(key, key === pivot.key ? states | others : states & others)
    }
    if (terms.get(pivot.key) === pivot.everything) terms.delete(pivot.key)
    return { terms, origin: [a, b] }
  }

  #undoAfter(level: number): void {
    for (let variable = this.#trail.at(-1); variable !== undefined; variable = this.#trail.at(-1)) {
      if (variable.narrowings.at(-1)!.level <= level) break
      this.#trail.pop()
      variable.narrowings.pop()
      variable.states = variable.narrowings.at(-1)?.states ?? variable.everything
    }
    const length = this.#orderLengths[level]
    if (length === undefined) return
    this.#orderLengths.length = level
    for (const key of this.#order.splice(length)) this.#ordered.delete(key)
  }

  #variable(key: ReleaseKey): Variable {
    const known = this.#variables.get(key)
    if (known !== undefined) return known
    const everything = this.#rules.everything(key)
    const variable: Variable = { key, everything, states: everything, narrowings: [], nogoods: [], inConflict: false }
    this.#variables.set(key, variable)
    return variable
  }

  #indexes(): Map<ReleaseKey, number> {
    return new Map(this.#order.map((key) => [key, indexOf(this.#variable(key).states)]))
  }
}

/** Of the release whose bit alone is set. */
function indexOf(state: States): number {
  return state.toString(2).length - 2
}
