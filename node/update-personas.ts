// `update`: personas that float are moved on now, instead of when the daemon gets to it.
import { MeshError } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import { floatPersonas } from './float-personas.ts'
import type { PersonaMoved, PersonaWaits } from './float-personas.ts'
import { hearPeersOut } from './hear-peers-out.ts'
import type { CallContext } from './http/index.ts'

export interface PersonaUpdate {
  readonly moved: readonly PersonaMoved[]
  /** Could not be moved; they stay as they are and work. */
  readonly waiting: readonly PersonaWaits[]
}

/** All that float, or one, once the peers have been heard out. Throws `not-found`, `bad-input` for one that stays. */
export async function updatePersonas(
  node: Node,
  name: string | undefined,
  context: CallContext,
): Promise<PersonaUpdate> {
  const named = name === undefined ? undefined : await node.personas.get(name)
  if (named !== undefined && named.note.follows === 'stay') {
    const message = `Persona ${named.id} stays as it was made: make the request again without --locked for one that floats.`
    throw new MeshError('bad-input', message, { persona: named.id })
  }
  const floating = (await node.personas.list()).some(({ note }) => note.follows === 'float')
  if (!floating) return { moved: [], waiting: [] }
  await node.network.start()
  await hearPeersOut(node, context.signal)
  const events = await floatPersonas(node, context, named === undefined ? {} : { ids: [named.id] })
  return {
    moved: events.filter((event) => event.kind === 'persona-moved'),
    waiting: events.filter((event) => event.kind === 'persona-waits'),
  }
}
