// What a process that is going to be killed tells of each statement that was taken, one JSON line each.
import { z } from 'zod'

export const people = ['alice', 'bob'] as const
export type Person = (typeof people)[number]

/** A release, its proposal, a receipt, a comment, three ballots, the decision. */
export const statementsPerVersion = 8
/** Those before the first ballot; said again they change nothing, while a ballot may take another one back. */
export const repeatable = 4

export function databaseOf(name: Person): string {
  return `${name}.sqlite`
}

const common = { n: z.int(), who: z.enum(people) }
const acknowledged = z.union([
  /** A record was signed, or waits to be: then it has no id yet. `body` is its SHA-256. */
  z.strictObject({ ...common, type: z.string(), body: z.string(), record: z.string().optional() }),
  z.strictObject({ ...common, certificate: z.string() }),
])
export type Acknowledged = z.infer<typeof acknowledged>

export function acknowledgementLine(told: Acknowledged): string {
  return `${JSON.stringify(told)}\n`
}

/** Undefined for the rest of a line that the process did not get to finish. */
export function readAcknowledgement(line: string): Acknowledged | undefined {
  if (!line.endsWith('}')) return undefined
  return acknowledged.parse(JSON.parse(line))
}
