import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maxRound, moreThanAThirdOf, quorumOf, startAgreement } from './index.ts'
import { Watched, aPrecommit, aPrevote, aProposal, from, fromEach, start, timeout, valid } from './testing/messages.ts'
import type { AgreementEvent } from './index.ts'

/** Delegate `self` of four, started, to whom a and b are valid. */
function aDelegate(self: number | undefined = 3, ...before: AgreementEvent[]): Watched {
  const delegate = new Watched({ delegates: 4, self }).tell(...before, ...valid('a', 'b'), start)
  delegate.actions()
  return delegate
}

/** One that precommitted a in round 0 and has gone on to round 1. */
function lockedOnA(self = 3): Watched {
  const delegate = aDelegate(self).tell(from(0, aProposal(0, 'a')), ...fromEach([0, 1, 2], aPrevote(0, 'a')))
  expect(delegate.sent()).toEqual([aPrevote(0, 'a'), aPrecommit(0, 'a')])
  delegate.tell(...fromEach([0, 1], aPrecommit(0)), timeout('precommit', 0))
  delegate.actions()
  return delegate
}

test.each([
  [1, 1, 1],
  [2, 2, 1],
  [3, 3, 2],
  [4, 3, 2],
  [5, 4, 2],
  [6, 5, 3],
  [7, 5, 3],
  [100, 67, 34],
])('of %i delegates %i are a quorum, and %i are more than a third', (delegates, quorum, third) => {
  expect([quorumOf(delegates), moreThanAThirdOf(delegates)]).toEqual([quorum, third])
})

test.each([
  [0, 0],
  [2.5, 0],
  [4, 4],
  [4, -1],
])('of %d delegates there is no number %d', (delegates, self) => {
  expect(() => startAgreement({ delegates, self })).toThrow('No delegate')
})

describe('a round', () => {
  test('one delegate alone decides what it would propose', () => {
    const alone = new Watched({ delegates: 1, self: 0 }).tell(start, { kind: 'candidate', value: 'a' })
    expect(alone.actions()).toEqual([
      { kind: 'schedule', step: 'propose', round: 0 },
      { kind: 'send', message: aProposal(0, 'a') },
      { kind: 'send', message: aPrevote(0, 'a') },
      { kind: 'send', message: aPrecommit(0, 'a') },
      { kind: 'decided', value: 'a', round: 0, by: [0] },
    ])
  })

  test('nothing is said before the start and nothing after the decision', () => {
    const early = new Watched({ delegates: 4, self: 0 }).tell({ kind: 'candidate', value: 'a' })
    expect(early.actions()).toEqual([])
    early.tell(...fromEach([1, 2, 3], aPrecommit(0, 'b')), start, timeout('propose', 0))
    expect(early.actions()).toEqual([{ kind: 'decided', value: 'b', round: 0, by: [1, 2, 3] }])
  })

  test('the candidate may change until it is proposed', () => {
    const proposer = aDelegate(0).tell(timeout('propose', 7), { kind: 'candidate', value: 'b' })
    proposer.tell({ kind: 'candidate', value: 'a' })
    expect(proposer.sent()).toEqual([aProposal(0, 'b'), aPrevote(0, 'b')])
  })

  test('a proposal that is not valid here waits until it is', () => {
    const delegate = aDelegate().tell(from(0, aProposal(0, 'c')))
    expect(delegate.sent()).toEqual([])
    expect(delegate.tell(...valid('c')).sent()).toEqual([aPrevote(0, 'c')])
  })

  test('a proposal that never becomes valid gets a prevote for nil at the timeout', () => {
    const delegate = aDelegate().tell(from(0, aProposal(0, 'c')), timeout('propose', 0))
    expect(delegate.sent()).toEqual([aPrevote(0)])
    expect(delegate.tell(...valid('c')).sent()).toEqual([])
  })

  test('only a value that is valid here is precommitted, whatever the others prevote', () => {
    const delegate = aDelegate().tell(timeout('propose', 0), ...fromEach([0, 1, 2], aPrevote(0, 'c')))
    expect(delegate.sent()).toEqual([aPrevote(0)])
    expect(delegate.tell(...valid('c')).sent()).toEqual([aPrecommit(0, 'c')])
  })

  test('a quorum of prevotes for nil is answered at once', () => {
    const delegate = aDelegate().tell(timeout('propose', 0), ...fromEach([0, 1], aPrevote(0)))
    expect(delegate.sent()).toEqual([aPrevote(0), aPrecommit(0)])
  })

  test('a quorum of prevotes for different things is waited for only so long', () => {
    const delegate = aDelegate().tell(from(0, aProposal(0, 'a')), from(0, aPrevote(0, 'a')), from(1, aPrevote(0)))
    expect(delegate.actions()).toEqual([
      { kind: 'send', message: aPrevote(0, 'a') },
      { kind: 'schedule', step: 'prevote', round: 0 },
    ])
    expect(delegate.tell(timeout('prevote', 0)).sent()).toEqual([aPrecommit(0)])
  })

  test('a quorum of precommits without a decision leads to the next round, after a while', () => {
    const delegate = aDelegate(1).tell(...fromEach([0, 2, 3], aPrecommit(0)), { kind: 'candidate', value: 'b' })
    expect(delegate.actions()).toEqual([{ kind: 'schedule', step: 'precommit', round: 0 }])
    expect(delegate.tell(timeout('precommit', 0)).sent()).toEqual([aProposal(1, 'b'), aPrevote(1, 'b')])
  })

  test('a timeout that was not asked for, or is of another round, does nothing', () => {
    const delegate = aDelegate().tell(timeout('precommit', 0), timeout('prevote', 0), timeout('propose', 1))
    expect([delegate.actions(), delegate.state.round]).toEqual([[], 0])
  })
})

describe('a lock', () => {
  test('another value is refused in a later round', () => {
    expect(
      lockedOnA()
        .tell(from(1, aProposal(1, 'b')))
        .sent(),
    ).toEqual([aPrevote(1)])
  })

  test('the same value is accepted in a later round', () => {
    expect(
      lockedOnA()
        .tell(from(1, aProposal(1, 'a')))
        .sent(),
    ).toEqual([aPrevote(1, 'a')])
  })

  test('a quorum of prevotes in a later round frees it, the proposer’s word for it does not', () => {
    const delegate = lockedOnA().tell(...fromEach([0, 1], aPrecommit(2)))
    expect(delegate.state.round).toBe(2)
    delegate.tell(from(2, aProposal(2, 'b', 1)), ...fromEach([0, 1], aPrevote(1, 'b')))
    expect(delegate.sent()).toEqual([])
    expect(delegate.tell(from(2, aPrevote(1, 'b'))).sent()).toEqual([aPrevote(2, 'b')])
  })

  test('a quorum of prevotes from before the lock does not free it', () => {
    const delegate = aDelegate(3, ...fromEach([0, 1, 2], aPrevote(0, 'b')), from(3, aPrecommit(1, 'a')))
    delegate.tell(...fromEach([0, 1], aPrecommit(2)), from(2, aProposal(2, 'b', 0)))
    expect(delegate.sent()).toEqual([aPrevote(2)])
  })

  test('the last one counts: what it was locked on before is refused, also with the quorum that it had then', () => {
    const delegate = lockedOnA().tell(...fromEach([0, 1, 2], aPrevote(1, 'b')), timeout('propose', 1))
    expect(delegate.sent()).toEqual([aPrevote(1), aPrecommit(1, 'b')])
    delegate.tell(...fromEach([0, 1], aPrecommit(2)), from(2, aProposal(2, 'a', 0)))
    expect(delegate.sent()).toEqual([aPrevote(2)])
  })

  test('its holder proposes that value, with the round of its quorum, and not its candidate', () => {
    const delegate = lockedOnA(1).tell({ kind: 'candidate', value: 'b' })
    delegate.tell(...fromEach([0, 2, 3], aPrecommit(4)), timeout('precommit', 4))
    expect(delegate.sent()).toContainEqual(aProposal(5, 'a', 0))
  })

  test('a later quorum of prevotes is proposed, also by one who had no part in it', () => {
    const delegate = lockedOnA(1).tell(...fromEach([0, 2, 3], aPrevote(2, 'b')), ...fromEach([0, 2], aPrecommit(5)))
    expect(delegate.sent()).toContainEqual(aProposal(5, 'b', 2))
  })
})

describe('a decision', () => {
  test('an observer needs the precommits alone', () => {
    const observer = new Watched({ delegates: 4, self: undefined }).tell(
      ...fromEach([2, 0], aPrecommit(3, 'x')),
      from(1, aPrecommit(3)),
      from(3, aPrecommit(2, 'x')),
    )
    expect(observer.actions()).toEqual([])
    expect(observer.tell(from(3, aPrecommit(3, 'x'))).actions()).toEqual([
      { kind: 'decided', value: 'x', round: 3, by: [0, 2, 3] },
    ])
  })

  test('it is found in a round that was left long ago', () => {
    const delegate = lockedOnA().tell(...fromEach([0, 1], aPrevote(9)))
    delegate.tell(from(2, aPrecommit(0, 'a')), from(0, aPrecommit(0, 'a')))
    expect(delegate.actions()).toContainEqual({ kind: 'decided', value: 'a', round: 0, by: [0, 2, 3] })
  })

  test('nil is never decided', () => {
    const observer = new Watched({ delegates: 4, self: undefined }).tell(...fromEach([0, 1, 2, 3], aPrecommit(0)))
    expect(observer.actions()).toEqual([])
  })
})

describe('delegates that misbehave', () => {
  test('two messages for one round and step are shown once, and both count', () => {
    const observer = new Watched({ delegates: 4, self: undefined })
    observer.tell(from(2, aPrecommit(0, 'a')), from(2, aPrecommit(0, 'b')), from(2, aPrecommit(0, 'c')))
    expect(observer.actions()).toEqual([
      { kind: 'misbehaved', delegate: 2, first: aPrecommit(0, 'a'), second: aPrecommit(0, 'b') },
    ])
    observer.tell(...fromEach([0, 1], aPrecommit(0, 'b')))
    expect(observer.actions()).toEqual([{ kind: 'decided', value: 'b', round: 0, by: [0, 1, 2] }])
  })

  test('a proposal with the same value and another round behind it is another message', () => {
    const observer = new Watched({ delegates: 4, self: undefined })
    observer.tell(from(2, aProposal(2, 'a', 0)), from(2, aProposal(2, 'a', 1)), from(2, aProposal(2, 'a', 1)))
    expect(observer.actions()).toEqual([
      { kind: 'misbehaved', delegate: 2, first: aProposal(2, 'a', 0), second: aProposal(2, 'a', 1) },
    ])
  })

  test('a thousand values signed for one round and step cost two places, and hide no vote that matters', () => {
    const observer = new Watched({ delegates: 4, self: undefined })
    const flood = Array.from({ length: 1_000 }, (_, i) => from(2, aPrecommit(0, `x${i}`)))
    observer.tell(...flood, from(0, aPrecommit(0, 'x999')))
    expect(observer.kept).toBe(3)
    expect(observer.actions().slice(1)).toEqual([{ kind: 'hear-again', fromRound: 0, throughRound: 0 }])
    observer.tell(...flood, from(1, aPrecommit(0, 'x999')))
    expect(observer.actions()).toEqual([{ kind: 'decided', value: 'x999', round: 0, by: [0, 1, 2] }])
    expect(observer.kept).toBe(5)
  })

  test('a thousand far rounds of one delegate cost nothing and move nobody', () => {
    const delegate = aDelegate()
    delegate.tell(...Array.from({ length: 1_000 }, (_, i) => from(2, aPrevote(1_000 + i, 'a'))))
    expect([delegate.kept, delegate.state.round, delegate.actions()]).toEqual([0, 0, []])
  })

  test('more than a third in later rounds move one along, and what was let go is asked for again', () => {
    const delegate = aDelegate()
    const early = fromEach([0, 1, 2], aPrecommit(40, 'a'))
    delegate.tell(from(1, aPrevote(50)), from(2, aPrevote(1_000_000)), early[0]!)
    // The second highest round, since one of the two may lie.
    expect(delegate.state.round).toBe(50)
    delegate.tell(...early)
    expect(delegate.actions()).toContainEqual({ kind: 'decided', value: 'a', round: 40, by: [0, 1, 2] })
  })

  test('what was let go is asked for when its round comes near, in the end all of it', () => {
    const observer = new Watched({ delegates: 4, self: undefined, roundsAhead: 2 })
    observer.tell(from(0, aPrevote(7)), from(0, aPrevote(9)), from(1, aPrevote(1)))
    expect(observer.actions()).toEqual([])
    observer.tell(from(1, aPrevote(5)))
    expect(observer.actions()).toEqual([{ kind: 'hear-again', fromRound: 7, throughRound: 7 }])
    observer.tell(from(0, aPrevote(7)), from(1, aPrevote(7)))
    expect(observer.actions()).toEqual([{ kind: 'hear-again', fromRound: 8, throughRound: 9 }])
  })

  test.each([
    ['a negative round', 0, aPrevote(-1)],
    ['half a round', 0, aPrevote(0.5)],
    ['no number', 0, aPrevote(NaN)],
    ['a round beyond all', 0, aPrevote(maxRound + 1)],
    ['a proposal out of turn', 1, aProposal(0, 'a')],
    ['a proposal backed by its own round', 1, aProposal(1, 'a', 1)],
    ['a proposal backed by a negative round', 1, aProposal(1, 'a', -1)],
    ['a delegate who is none', 4, aPrevote(0)],
  ])('%s is ignored', (_, delegate, message) => {
    const { state } = aDelegate()
    expect(new Watched({ delegates: 4, self: 3 }).tell(from(delegate, message)).kept).toBe(0)
    expect(aDelegate().tell(from(delegate, message)).state.furthest).toEqual(state.furthest)
  })

  test('of two delegates one can drive the other to the last round, after which it falls silent', () => {
    const delegate = new Watched({ delegates: 2, self: 0 }).tell(start, from(1, aPrevote(maxRound)))
    delegate.tell(timeout('propose', maxRound), from(1, aPrecommit(maxRound)))
    expect(delegate.sent()).toEqual([aPrevote(maxRound), aPrecommit(maxRound)])
    delegate.tell(timeout('precommit', maxRound), { kind: 'candidate', value: 'a' })
    expect([delegate.state.round, delegate.actions()]).toEqual([maxRound + 1, []])
  })

  test('a quorum of prevotes for what was not proposed yet is not proposed as an earlier one', () => {
    const proposer = aDelegate(0).tell(...fromEach([1, 2, 3], aPrevote(0, 'a')), { kind: 'candidate', value: 'b' })
    expect(proposer.sent()).toEqual([aProposal(0, 'b'), aPrevote(0, 'b'), aPrecommit(0, 'a')])
  })
})

describe('a restart', () => {
  const before: AgreementEvent[] = [
    from(0, aProposal(0, 'a')),
    ...fromEach([0, 1, 2, 3], aPrevote(0, 'a')),
    from(3, aPrecommit(0, 'a')),
    from(0, aPrecommit(0)),
    from(3, aPrevote(1)),
    from(3, aPrecommit(1)),
    from(3, aProposal(3, 'a', 0)),
    from(3, aPrevote(3, 'a')),
    ...valid('a', 'b'),
    { kind: 'candidate', value: 'b' },
  ]

  test('in whatever order it hears again what was stored, it goes on where it was and signs nothing anew', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(before, { minLength: before.length }),
        fc.integer({ min: 1, max: 4 }),
        (events, ahead) => {
          const delegate = new Watched({ delegates: 4, self: 3, roundsAhead: ahead }).tell(...events, start)
          expect(delegate.sent()).toEqual([])
          expect(delegate.state.round).toBe(3)
          delegate.tell(timeout('propose', 3), from(3, aProposal(3, 'a', 0)))
          expect(delegate.sent()).toEqual([])
          delegate.tell(...fromEach([0, 1], aPrevote(7)), ...fromEach([0, 1], aPrevote(8)), from(0, aProposal(8, 'b')))
          expect(delegate.sent()).toContainEqual(aPrevote(8))
        },
      ),
    )
  })

  test('what a key signs elsewhere binds it here', () => {
    const delegate = aDelegate(0).tell(from(0, aProposal(0, 'b')), { kind: 'candidate', value: 'a' })
    expect(delegate.sent()).toEqual([aPrevote(0, 'b')])
    delegate.tell(from(0, aPrecommit(2)))
    expect([delegate.state.round, delegate.sent()]).toEqual([2, []])
  })

  test('a value it is locked on is not proposed before its content is checked again', () => {
    const delegate = new Watched({ delegates: 4, self: 0 })
    delegate.tell(from(0, aPrecommit(3, 'a')), { kind: 'candidate', value: 'b' }, start)
    delegate.tell(...fromEach([1, 2], aPrevote(4)))
    expect(delegate.sent()).toEqual([])
    expect(delegate.tell(...valid('a')).sent()).toContainEqual(aProposal(4, 'a', 3))
  })
})

test('what is known already changes nothing', () => {
  const delegate = lockedOnA()
  const { state } = delegate
  delegate.tell(...fromEach([0, 1, 2], aPrevote(0, 'a')), ...valid('a'), from(3, aPrecommit(0, 'a')))
  expect([delegate.state, delegate.actions()]).toEqual([state, []])
  expect(delegate.state.rounds).toBe(state.rounds)
  expect(delegate.state.valid).toBe(state.valid)
})
