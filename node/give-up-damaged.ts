// Before releases are fetched: what is held and no longer what it was counts as not held, and is fetched again with the rest.
import { isMeshError } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'

/** `releaseIds`: 64 hex digits each. */
export async function giveUpDamaged(
  { releases }: Pick<Node, 'releases'>,
  releaseIds: readonly string[],
  { signal, emit }: CallContext,
): Promise<void> {
  for (const id of releaseIds) {
    const held = releases.get(id)
    if (held === undefined) continue
    await releases.requireIntact(held, signal).catch((error: unknown) => {
      if (!isMeshError(error, 'hash-mismatch')) throw error
      emit({ type: 'note', text: error.message })
    })
  }
}
