// Link -> lockfile: from this node if it has that persona, else from whoever shares it. Both are believed for their digest alone.
import {
  MeshError,
  bytesEqual,
  identityFromText,
  isMeshError,
  openPersonaLink,
  signerName,
} from '../../protocol/index.ts'
import type { PersonaLink } from '../../protocol/index.ts'
import { decodeLockfile, lockfileDigest, personaIdOf } from '../../resolver/index.ts'
import type { Lockfile } from '../../resolver/index.ts'
import type { Node } from '../create-node.ts'
import type { CallContext } from '../http/index.ts'
import type { Persona } from '../persona-store.ts'

const tellEveryMs = 5_000

export interface LinkWish {
  readonly link: string
  /** How long to look for somebody who has it. */
  readonly waitMs: number
  /** As it was shown before: then nobody is asked for it. */
  readonly lockfile?: Lockfile | undefined
}

export interface LinkedLockfile {
  readonly digest: Uint8Array
  readonly lockfile: Lockfile
  /** Undefined when this node does not have it. */
  readonly persona: Persona | undefined
}

export interface LinkNode extends Pick<Node, 'personas' | 'registry'> {
  /** Peers are met once it has been started. */
  readonly network: { start(): Promise<unknown> }
}

/**
 * Throws `malformed` for what is no link, `no-seeder` when nobody was found who shares it, `bad-signature` when the link names other
 * signers, `already-exists` when another persona here has its id, and what decoding throws.
 */
export async function linkedLockfile(node: LinkNode, wish: LinkWish, context: CallContext): Promise<LinkedLockfile> {
  const link = openPersonaLink(wish.link)
  const { personas } = await node.personas.survey()
  const held = personas.find(({ lockfile }) => bytesEqual(lockfileDigest(lockfile), link.digest))
  const shown = wish.lockfile ?? held?.lockfile
  const lockfile = shown ?? decodeLockfile(await askHolders(node, link, wish.waitMs, context))
  requireNamed(link, lockfile)
  return { digest: link.digest, lockfile, persona: personaHere(personas, lockfile) }
}

function requireNamed({ digest, signers }: PersonaLink, lockfile: Lockfile): void {
  if (!bytesEqual(lockfileDigest(lockfile), digest))
    throw new MeshError('bad-input', 'This is not the lockfile that the link names.')
  const publishers = lockfile.releases.map(({ publisher }) => signerName(identityFromText(publisher)))
  const inIt = [...new Set(publishers)].toSorted()
  if (inIt.length === signers.length && inIt.every((signer, i) => signer === signers[i])) return
  throw new MeshError(
    'bad-signature',
    'The releases of this persona are signed by others than the link says: do not open it, and ask for another link.',
    { signers, publishers: inIt },
  )
}

/** Ids are short enough for somebody to make a second lockfile with the id of one of yours: it must not take its place. */
function personaHere(personas: readonly Persona[], lockfile: Lockfile): Persona | undefined {
  const persona = personas.find(({ id }) => id === personaIdOf(lockfile))
  if (persona === undefined || bytesEqual(lockfileDigest(persona.lockfile), lockfileDigest(lockfile))) return persona
  throw new MeshError(
    'already-exists',
    `Another persona here has the id ${persona.id}, which happens only on purpose: do not open this link.`,
    { persona: persona.id },
  )
}

async function askHolders(
  node: LinkNode,
  { digest }: PersonaLink,
  waitMs: number,
  { signal, emit }: CallContext,
): Promise<Uint8Array> {
  await node.network.start()
  using meeting = node.registry.meetHolders(digest)
  emit({ type: 'note', text: 'Looking for somebody who shares this persona ...' })
  using _ = tellWaiting(waitMs, emit)
  const patience = AbortSignal.timeout(waitMs)
  try {
    return await meeting.lockfile(AbortSignal.any([signal, patience]))
  } catch (error) {
    if (!isMeshError(error, 'aborted') || signal.aborted) throw error
    throw nobody(waitMs)
  }
}

/** Until it is disposed of. */
function tellWaiting(waitMs: number, emit: CallContext['emit']): Disposable {
  let waited = 0
  const timer = setInterval(() => {
    waited += tellEveryMs
    emit({ type: 'note', text: `Still looking: ${waited / 1_000} s of ${Math.round(waitMs / 1_000)} s ...` })
  }, tellEveryMs)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

function nobody(waitMs: number): MeshError {
  const waited = `${Math.round(waitMs / 1_000)} s`
  return new MeshError(
    'no-seeder',
    `Nobody who shares this persona was found in ${waited}: ask whoever sent the link to run \`lora-mesh up\`, or wait longer with --wait.`,
    { waitMs },
  )
}
