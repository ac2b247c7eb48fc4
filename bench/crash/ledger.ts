// Everything that killed processes told of, held against what their files hold.
import { people, statementsPerVersion } from './acknowledgement.ts'
import type { Acknowledged, Person } from './acknowledgement.ts'
import { heldBy, statementName } from './held-by.ts'
import type { Held } from './held-by.ts'

type Statement = Extract<Acknowledged, { readonly type: string }>

export class Ledger {
  /** Name of the statement -> what was told of it; a record id once one was told. */
  readonly #statements: Readonly<Record<Person, Map<string, Statement>>> = { alice: new Map(), bob: new Map() }
  readonly #certificates: Readonly<Record<Person, Set<string>>> = { alice: new Set(), bob: new Set() }
  /** As they were after the kill before. */
  readonly #chains: Record<Person, readonly string[]> = { alice: [], bob: [] }
  #next = 0

  /** The first statement that was not told of: it may have been said all the same, and is said again. */
  get next(): number {
    return this.#next
  }

  get statements(): number {
    return people.reduce((sum, who) => sum + this.#statements[who].size, 0)
  }

  get decisions(): number {
    return this.#chains.alice.length
  }

  add(told: Acknowledged): void {
    if ('certificate' in told) this.#certificates[told.who].add(told.certificate)
    else {
      const before = this.#statements[told.who].get(statementName(told.type, told.body))
      this.#statements[told.who].set(statementName(told.type, told.body), { ...before, ...told })
    }
    // Of a decision both tell, in the order of `people`.
    const whole = told.n % statementsPerVersion !== statementsPerVersion - 1 || told.who === people.at(-1)
    this.#next = Math.max(this.#next, whole ? told.n + 1 : told.n)
  }

  /** Sentences; none when everything is as it was told. */
  async problems(folder: string): Promise<string[]> {
    const files = new Map<Person, Held>()
    for (const who of people) files.set(who, await heldBy(folder, who))
    const eachOnes = people.flatMap((who) => {
      const held = files.get(who)!
      const before = this.#chains[who]
      this.#chains[who] = held.certificates
      const problems = [
        ...this.#lost(who, held),
        ...doubled(held),
        ...undecided(before, this.#certificates[who], held.certificates),
      ]
      return problems.map((problem) => `${who}: ${problem}`)
    })
    return [...eachOnes, ...apart(this.#chains.alice, this.#chains.bob)]
  }

  #lost(who: Person, { said, waits }: Held): string[] {
    return [...this.#statements[who]].flatMap(([name, { n, record }]) => {
      const [id] = said.get(name) ?? []
      if (id === undefined && record === undefined && waits.has(name)) return []
      if (id === undefined) return [`statement ${n} is lost (${name})`]
      return record === undefined || record === id ? [] : [`statement ${n} is another record than was told (${name})`]
    })
  }
}

function doubled({ said, votes }: Held): string[] {
  return [
    ...[...said].filter(([, ids]) => ids.length > 1).map(([name, ids]) => `said ${ids.length} times: ${name}`),
    ...[...votes].filter(([, decisions]) => decisions.size > 1).map(([on]) => `voted for two decisions: ${on}`),
  ]
}

function undecided(before: readonly string[], told: ReadonlySet<string>, now: readonly string[]): string[] {
  return [
    ...before.filter((id, i) => now[i] !== id).map((id) => `certificate ${id} was there and is not any more`),
    ...[...told].filter((id) => !now.includes(id)).map((id) => `certificate ${id} was told of and is not there`),
  ]
}

/** One may have heard of less than the other, never of something else. */
function apart(some: readonly string[], others: readonly string[]): string[] {
  const at = some.findIndex((id, i) => i < others.length && others[i] !== id)
  return at < 0 ? [] : [`alice and bob hold different certificates at ${at}`]
}
