import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { progressBar } from './progress-bar.ts'

const MiB = 1024 * 1024

function recorded(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 80 })
  const clock = { now: 0 }
  const bar = progressBar(stream, () => clock.now)
  const show = (doneBytes: number, atMs: number): void => {
    clock.now = atMs
    bar.show({ label: 'biology', doneBytes, totalBytes: 8 * MiB, peers: 2 })
  }
  return { show, bar, written: (): string => String(stream.read() ?? '') }
}

test('on a terminal one line is redrawn, at most ten times a second, with rate, time left and peers', () => {
  const { show, written } = recorded(true)
  show(0, 0)
  show(MiB, 50)
  show(2 * MiB, 1_000)
  const lines = written().split('\r\u001B[K').filter(Boolean)
  expect(lines).toHaveLength(2)
  expect(lines[1]).toBe('[======                  ]  25 % of 8.0 MiB  biology  2.0 MiB/s  3 s left  2 pe')
  show(8 * MiB, 1_001)
  expect(written()).toMatch(/100 % of 8\.0 MiB.*\n$/)
  show(8 * MiB, 2_000)
  expect(written()).toBe('')
})

test('elsewhere a few whole lines appear', () => {
  const { show, written } = recorded(false)
  for (let i = 0; i <= 80; i++) show((i * MiB) / 10, i * 100)
  const lines = written().trimEnd().split('\n')
  expect(lines.map((line) => /(\d+) %/.exec(line)?.[1])).toEqual(['0', '25', '50', '75', '100'])
  expect(lines[2]).toMatch(/^\[={12} {12}\] .*MiB\/s/)
  expect(lines.join('')).not.toContain('\u001B')
})

test('a drawn bar is wiped before other text, an absent one is not', () => {
  const { show, bar, written } = recorded(true)
  bar.clear()
  expect(written()).toBe('')
  show(MiB, 0)
  written()
  bar.clear()
  expect(written()).toBe('\r\u001B[K')
})
