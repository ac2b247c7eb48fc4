// One vote per admitted member, and a bound on how many members may come in through one: without it a single compromised member could
// invite as many votes as it likes. With share g of the members compromised, cap c and turnout t of the others, g (1 + c) votes stand
// against t (1 - g): the simple majority holds while g < t / (1 + c + t). A supermajority falls at 2 t / (1 + c + 2 t), and consensus, where one
// no rejects, is never passed against an honest vote. Stopping what all honest voters want takes as much under the majority, from
// t / (2 (1 + c) + t) on under the supermajority, and a single no under consensus. Who leaves or is removed keeps its place above those it
// brought in: or going, and being followed by them, would lift the cap.
import type { ChainState } from './chain-state.ts'

type Inviters = Pick<ChainState, 'members' | 'inviters'>

/** Members in force that came by this one's invitation, or by that of one of them. */
export function subtreeSize(state: Inviters, inviter: string): number {
  let size = 0
  for (const identity of state.members.keys()) {
    if (identity !== inviter && invitersAbove(state, identity).includes(inviter)) size++
  }
  return size
}

/** This one and whoever invited it, up to one who came without an invitation; those who went are among them. */
export function invitersAbove({ inviters }: Pick<ChainState, 'inviters'>, identity: string): string[] {
  const chain: string[] = []
  for (let at: string | undefined = identity; at !== undefined; at = inviters.get(at)) {
    if (chain.includes(at)) throw new Error('somebody was invited by somebody they invited')
    chain.push(at)
  }
  return chain
}

/** Whether one more may come in by this member's invitation; `guest` may have been here before and have brought in others. */
export function mayInvite(state: Inviters & Pick<ChainState, 'rules'>, inviter: string, guest?: string): boolean {
  const more = 1 + (guest === undefined ? 0 : subtreeSize(state, guest))
  return invitersAbove(state, inviter).every((above) => subtreeSize(state, above) + more <= state.rules.inviterCap)
}
