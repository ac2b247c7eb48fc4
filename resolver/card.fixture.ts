// Valid cards for tests: everything has a default.
import type { Card } from './cards.ts'

export type CardOverrides = Partial<Omit<Card, 'capabilities'>> & {
  readonly text?: string
  readonly capabilities?: Card['capabilities']
}

/** A member's release `name@version` that says `text`. */
export function aCard({ text = '', ...overrides }: CardOverrides = {}): Card {
  const { name = 'biology', version = '1.0.0' } = overrides
  return {
    id: `${name}@${version}`,
    name,
    version,
    member: true,
    summary: '',
    capabilities: [{ name, description: text }],
    tags: [],
    bytes: 1_000,
    requires: [],
    ...overrides,
  }
}
