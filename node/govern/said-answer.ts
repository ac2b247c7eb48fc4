// What becomes of something said in a community: it is signed, or waits; others see it, or will.
import type { AppendResult } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'

export interface SaidAnswer {
  /** `pending`: it is signed, and others see it, once a peer has been asked. */
  readonly state: 'said' | 'pending'
  readonly message?: string
}

export function saidAnswer({ network }: Pick<Node, 'network'>, said: AppendResult): SaidAnswer {
  if (said.kind === 'pending') return { state: 'pending', message: said.message }
  if (said.warning !== undefined) return { state: 'said', message: said.warning }
  if (network.swarm !== undefined) return { state: 'said' }
  return { state: 'said', message: 'Others see it once this node runs: lora-mesh up' }
}
