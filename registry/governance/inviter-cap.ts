// One vote per admitted member, and a bound on how many members may come in through one: without it a single compromised member could
// invite as many votes as it likes. With share g of the members compromised, cap c and turnout t of the others, g (1 + c) votes stand
// against t (1 - g): the simple majority holds while g < t / (1 + c + t). A supermajority falls at 2 t / (1 + c + 2 t), and consensus, where one
// no rejects, is never passed against an honest vote.
import type { ChainState, Member } from './chain-state.ts'

/** Members in force that came by this one's invitation, or by that of one of them. */
export function subtreeSize(members: ReadonlyMap<string, Member>, inviter: string): number {
  let size = 0
  for (const identity of members.keys()) if (identity !== inviter && isBelow(members, identity, inviter)) size++
  return size
}

/** The inviter and whoever invited it, up to one who came without an invitation. One who was removed still leads upwards no further. */
export function invitersAbove(members: ReadonlyMap<string, Member>, inviter: string): string[] {
  const chain: string[] = []
  for (let at: string | undefined = inviter; at !== undefined; at = members.get(at)?.inviter) {
    if (chain.includes(at)) throw new Error('somebody was invited by somebody they invited')
    chain.push(at)
  }
  return chain
}

/** Whether one more may come in by this member's invitation. */
export function mayInvite({ members, rules }: Pick<ChainState, 'members' | 'rules'>, inviter: string): boolean {
  return invitersAbove(members, inviter).every((above) => subtreeSize(members, above) < rules.inviterCap)
}

function isBelow(members: ReadonlyMap<string, Member>, identity: string, inviter: string): boolean {
  return invitersAbove(members, identity).includes(inviter)
}
