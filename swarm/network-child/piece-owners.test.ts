import { describe, expect, test } from 'vitest'
import { PieceOwners, silentMs } from './piece-owners.ts'

function owners() {
  let nowMs = 1_000
  const dead = new Set<string>()
  const pieces = new PieceOwners(() => nowMs)
  return {
    pieces,
    mayAsk: (index: number, peer: string, last = false) => pieces.mayAsk(index, peer, last, (name) => !dead.has(name)),
    die: (peer: string) => dead.add(peer),
    wait: (ms: number) => (nowMs += ms),
  }
}

describe('a piece that one peer was asked for', () => {
  test('is asked of nobody else while that one sends, except when nothing else is left', () => {
    const { pieces, mayAsk, wait } = owners()
    pieces.asked(3, 'a')
    expect([mayAsk(3, 'a'), mayAsk(3, 'b'), mayAsk(4, 'b'), mayAsk(3, 'b', true)]).toEqual(['yes', 'no', 'yes', 'yes'])
    wait(silentMs)
    pieces.received(7, 'a')
    wait(silentMs)
    expect(mayAsk(3, 'b')).toBe('no')
  })

  test('is begun anew with another when that one sends nothing at all', () => {
    const { pieces, mayAsk, wait } = owners()
    pieces.asked(3, 'a')
    wait(silentMs + 1)
    // Asking it again is no sign of life.
    pieces.asked(3, 'a')
    expect(mayAsk(3, 'b')).toBe('anew')
    pieces.begunAnew(3)
    pieces.asked(3, 'b')
    expect([mayAsk(3, 'a'), mayAsk(3, 'a', true)]).toEqual(['no', 'no'])
    pieces.received(3, 'a')
    pieces.received(3, 'b')
    expect(pieces.failed(3)).toEqual({ kind: 'guilty', peer: 'b' })
  })

  test('is asked of another when that one is gone', () => {
    const { pieces, mayAsk, die } = owners()
    pieces.asked(3, 'a')
    die('a')
    expect(mayAsk(3, 'b')).toBe('yes')
  })
})

describe('a bad piece', () => {
  test('is the fault of its only sender', () => {
    const { pieces } = owners()
    pieces.asked(0, 'a')
    pieces.received(0, 'a')
    expect(pieces.failed(0)).toEqual({ kind: 'guilty', peer: 'a' })
  })

  test('that two have sent is nobody’s yet: it then comes from one peer as a whole', () => {
    const { pieces, mayAsk, die } = owners()
    pieces.asked(0, 'a')
    pieces.received(0, 'a')
    pieces.received(0, 'b')
    expect(pieces.failed(0)).toEqual({ kind: 'suspects' })
    pieces.asked(0, 'b')
    pieces.received(0, 'b')
    expect(mayAsk(0, 'a', true)).toBe('no')
    die('b')
    expect(mayAsk(0, 'a')).toBe('anew')
  })

  test('that nobody sent is nobody’s', () => {
    expect(owners().pieces.failed(0)).toEqual({ kind: 'nobody' })
  })
})
