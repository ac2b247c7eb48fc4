import { expect, test } from 'vitest'
import { ManualClock, openRegistry } from '../registry/index.ts'
import type { Registry } from '../registry/index.ts'
import { aHash, anAuthor } from '../testing/objects.ts'
import { gapDesk } from './post-gap.ts'
import type { GapWish } from './post-gap.ts'

const wine: GapWish = {
  capability: 'wine-pairing',
  description: 'wine pairing',
  base: { id: aHash(11), label: 'tiny llama' },
}

test('a gap that was shown can be posted, with the very words that were shown', async () => {
  await using registry = aRegistry()
  registry.createCommunity({ name: 'kitchen' })
  const desk = gapDesk(registry)
  const shown = desk.show(wine)
  expect(shown).toMatchObject({ capability: 'wine-pairing', communities: ['kitchen'] })
  for (const words of ['wine-pairing', 'wine pairing', 'tiny llama']) expect(shown.text).toContain(words)
  expect(desk.post(shown.preview)).toMatchObject({
    capability: 'wine-pairing',
    state: 'posted',
    communities: ['kitchen'],
  })
  expect(registry.jobs()).toMatchObject([{ capability: 'wine-pairing', description: 'wine pairing', own: true }])
})

test('showing a gap posts nothing', async () => {
  await using registry = aRegistry()
  registry.createCommunity({ name: 'kitchen' })
  const desk = gapDesk(registry)
  desk.show(wine)
  expect(registry.jobs()).toEqual([])
  expect(registry.pending()).toEqual([])
})

test('what was not shown can not be posted: no preview, a made-up one, or one of another node', async () => {
  await using registry = aRegistry()
  registry.createCommunity({ name: 'kitchen' })
  await using other = aRegistry()
  other.createCommunity({ name: 'kitchen' })
  const desk = gapDesk(registry)
  const { preview } = gapDesk(other).show({ ...wine, description: 'another' })
  for (const key of ['', '0'.repeat(32), '__proto__', preview])
    expect(() => desk.post(key)).toThrow(expect.objectContaining({ code: 'not-found' }))
  expect(registry.jobs()).toEqual([])
})

test('without a community there is nobody to post to, and the message says so', async () => {
  await using registry = aRegistry()
  const desk = gapDesk(registry)
  const { preview, communities } = desk.show(wine)
  expect(communities).toEqual([])
  expect(() => desk.post(preview)).toThrow('lora-mesh community follow')
})

test('only so many previews are remembered: the oldest are forgotten first', async () => {
  await using registry = aRegistry()
  registry.createCommunity({ name: 'kitchen' })
  const desk = gapDesk(registry)
  const first = desk.show(wine)
  const second = desk.show({ ...wine, description: 'gap 0' })
  for (let n = 1; n < 1_000; n++) desk.show({ ...wine, description: `gap ${n}` })
  expect(() => desk.post(first.preview)).toThrow(expect.objectContaining({ code: 'not-found' }))
  expect(desk.post(second.preview).state).toBe('posted')
})

function aRegistry(): Registry {
  let drawn = 0
  return openRegistry({
    path: ':memory:',
    author: anAuthor(),
    clock: new ManualClock(),
    random: (length) => new Uint8Array(length).fill(++drawn % 251),
  })
}
