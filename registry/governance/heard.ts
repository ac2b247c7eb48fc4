// What a community's people said on its government, by what it is about. Made from the parts of its authors; says nothing of what counts.
import { toHex } from '../../protocol/index.ts'
import type { Said } from '../fold-community.ts'
import type { Statement } from '../record-effects.ts'

export type SaidOf<T extends Statement['type']> = Said<Extract<Statement, { readonly type: T }>>
export type Step = SaidOf<'round/1'> | SaidOf<'prevote/1'> | SaidOf<'precommit/1'>

export interface Heard {
  /** By record id in hex. */
  readonly proposals: ReadonlyMap<string, SaidOf<'proposal/1'>>
  /** By proposal in hex. */
  readonly ballots: ReadonlyMap<string, readonly SaidOf<'ballot/1'>[]>
  readonly comments: ReadonlyMap<string, readonly SaidOf<'comment/1'>[]>
  /** By release in hex. */
  readonly evaluations: ReadonlyMap<string, readonly SaidOf<'evaluation/1'>[]>
  /** By suite in hex. */
  readonly suites: ReadonlyMap<string, SaidOf<'suite/1'>>
  /** By key in hex, the first of each author in its log's order. */
  readonly invites: ReadonlyMap<string, readonly SaidOf<'invite/1'>[]>
  readonly joins: readonly SaidOf<'join/1'>[]
  readonly leaves: readonly SaidOf<'leave/1'>[]
  /** By the certificate before, in hex. */
  readonly steps: ReadonlyMap<string, readonly Step[]>
}

/** Grows with `hear`. */
export type GrowingHeard = ReturnType<typeof nothingHeard>

export function sortHeard(statements: Iterable<Said>): GrowingHeard {
  const heard = nothingHeard()
  for (const said of statements) hear(heard, said)
  return heard satisfies Heard
}

function nothingHeard() {
  return {
    proposals: new Map<string, SaidOf<'proposal/1'>>(),
    ballots: new Map<string, SaidOf<'ballot/1'>[]>(),
    comments: new Map<string, SaidOf<'comment/1'>[]>(),
    evaluations: new Map<string, SaidOf<'evaluation/1'>[]>(),
    suites: new Map<string, SaidOf<'suite/1'>>(),
    invites: new Map<string, SaidOf<'invite/1'>[]>(),
    joins: [] as SaidOf<'join/1'>[],
    leaves: [] as SaidOf<'leave/1'>[],
    steps: new Map<string, Step[]>(),
  }
}

export function hear(heard: GrowingHeard, said: Said): void {
  const { statement } = said
  switch (statement.type) {
    case 'proposal/1':
      heard.proposals.set(toHex(said.id), said as SaidOf<'proposal/1'>)
      return
    case 'ballot/1':
      push(heard.ballots, statement.body.proposal, said as SaidOf<'ballot/1'>)
      return
    case 'comment/1':
      push(heard.comments, statement.body.proposal, said as SaidOf<'comment/1'>)
      return
    case 'evaluation/1':
      push(heard.evaluations, statement.body.release, said as SaidOf<'evaluation/1'>)
      return
    case 'suite/1':
      heard.suites.set(toHex(statement.suite), said as SaidOf<'suite/1'>)
      return
    case 'invite/1':
      push(heard.invites, statement.body.key, said as SaidOf<'invite/1'>)
      return
    case 'join/1':
      heard.joins.push(said as SaidOf<'join/1'>)
      return
    case 'leave/1':
      heard.leaves.push(said as SaidOf<'leave/1'>)
      return
    case 'round/1':
    case 'prevote/1':
    case 'precommit/1':
      push(heard.steps, statement.body.previous, said as Step)
      return
    default:
      statement satisfies never
  }
}

function push<T>(map: Map<string, T[]>, key: Uint8Array, value: T): void {
  const name = toHex(key)
  const list = map.get(name)
  if (list === undefined) map.set(name, [value])
  else list.push(value)
}
