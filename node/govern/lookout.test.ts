import { expect, test } from 'vitest'
import { sha256, utf8 } from '../../protocol/index.ts'
import { Lookout } from './lookout.ts'
import { aVillage, within } from './testing/village.ts'
import type { Village, Villager } from './testing/village.ts'

function proposeMany({ id }: Village, { registry }: Villager, howMany: number): void {
  for (let i = 0; i < howMany; i++) {
    registry.governance.propose(id, { kind: 'admit', identity: sha256(utf8(`guest ${i}`)), role: 'user' })
  }
}

test('of one author who floods a community only sixteen open proposals are told of, and what others propose is', async () => {
  await using village = await aVillage('admin', 'user')
  const [founder, other] = village.members
  proposeMany(village, other!, 40)
  proposeMany(village, founder!, 1)
  const { registry } = founder!
  await registry.until(() => registry.governance.proposals(village.id).length === 41, within())
  const lookout = new Lookout(registry)
  const told = lookout.look(village.id).filter(({ type }) => type === 'proposal')
  const byAuthor = Map.groupBy(told, (one) => ('author' in one ? one.author : undefined))
  expect([...byAuthor.values()].map(({ length }) => length).toSorted((a, b) => a - b)).toEqual([1, 16])
  expect(lookout.look(village.id)).toEqual([])
})
