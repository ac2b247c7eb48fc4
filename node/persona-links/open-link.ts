// Link -> the same persona as where it was shared: the same lockfile, the same releases, the same stack.
import { setTimeout as wait } from 'node:timers/promises'
import { MeshError, fromHex, identityToText, isMeshError, toHex } from '../../protocol/index.ts'
import type { Manifest } from '../../protocol/index.ts'
import type { LockedRelease, Lockfile } from '../../resolver/index.ts'
import { assemblePersona, baseFor, missingReleases } from '../assemble-persona.ts'
import type { KnownBase } from '../base-store.ts'
import type { Node } from '../create-node.ts'
import { fetchWanted, nothingFetched } from '../fetch-releases.ts'
import type { FetchSummary, SizedRelease } from '../fetch-releases.ts'
import { giveUpDamaged } from '../give-up-damaged.ts'
import type { CallContext } from '../http/index.ts'
import { linkedLockfile } from './linked-lockfile.ts'
import type { LinkWish } from './linked-lockfile.ts'

const PAUSE_MS = 1_000

export interface OpenedPersona {
  readonly persona: string
  /** Whether this node had it before; then it goes on as it was, floating or not. */
  readonly already: boolean
  readonly follows: 'float' | 'stay'
  /** Equal on every node that has this persona. */
  readonly stackHash: string
  readonly lockfile: Lockfile
  readonly fetch: FetchSummary
  readonly assembleMs: number
  /** What publishers suggest as instructions: data, used by nobody here. */
  readonly systemPrompts: readonly { readonly release: string; readonly text: string }[]
}

/**
 * Fetches, checks and assembles. What was fetched before an interruption is not fetched again. Throws what `linkedLockfile` throws,
 * `base-missing`, `manifest-mismatch` for a release that is not what the lockfile says, and what fetching and assembling throw.
 */
export async function openLink(node: Node, wish: LinkWish, context: CallContext): Promise<OpenedPersona> {
  const { digest, lockfile, persona: before } = await linkedLockfile(node, wish, context)
  const base = baseFor(node, lockfile)
  const ids = lockfile.releases.map(({ releaseId }) => releaseId)
  await giveUpDamaged(node, ids, context)
  const fetch = await fetchMissing(node, { digest, lockfile, base, waitMs: wish.waitMs }, context)
  const manifests = lockfile.releases.map((locked) => acceptedManifest(node, locked))
  const persona = before ?? (await node.personas.save(lockfile, { follows: 'stay', madeAt: node.options.clock() }))
  const since = performance.now()
  const { stackHash } = await assemblePersona(node, persona, context.signal)
  return {
    persona: persona.id,
    already: before !== undefined,
    follows: persona.note.follows,
    stackHash,
    lockfile,
    fetch,
    assembleMs: Math.round((performance.now() - since) * 10) / 10,
    systemPrompts: manifests.flatMap(suggestedPrompt),
  }
}

interface Fetching {
  readonly digest: Uint8Array
  readonly lockfile: Lockfile
  readonly base: KnownBase
  readonly waitMs: number
}

/** Whoever shares the persona is met meanwhile: they serve its releases, also where no community leads to them. */
async function fetchMissing(
  node: Node,
  { digest, lockfile, base, waitMs }: Fetching,
  context: CallContext,
): Promise<FetchSummary> {
  const missing = missingReleases(node, lockfile).map(wantedOf)
  if (missing.length === 0) return nothingFetched
  await node.network.start()
  using meetings = new DisposableStack()
  if (node.options.config.network.exchange) meetings.use(node.registry.meetHolders(digest))
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      return await fetchWanted(node, missing, base, context)
    } catch (error) {
      if (!isMeshError(error, 'no-seeder') || performance.now() + PAUSE_MS >= deadline) throw error
      context.emit({ type: 'note', text: `${error.message} Trying again ...` })
      await wait(PAUSE_MS, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted())
    }
  }
}

function wantedOf(locked: LockedRelease): SizedRelease {
  const { name, version, releaseId, infohash, bytes } = locked
  return {
    releaseId: fromHex(releaseId),
    infohash: fromHex(infohash),
    label: `${name}@${version}`,
    bytes,
    check: (manifest) => requireLocked(manifest, locked),
  }
}

/** Of a release that is held; one that no log tells of becomes known as an outsider's. Throws `version-taken` as well. */
function acceptedManifest(node: Node, locked: LockedRelease): Manifest {
  const held = node.releases.get(locked.releaseId)
  if (held === undefined) throw new Error(`${locked.name} was fetched and is not held`)
  requireLocked(held.signed.manifest, locked)
  const known = node.registry.release(held.signed.releaseId)
  if (known === undefined) node.registry.noteRelease(held.signed, held.infohash, 'link')
  return held.signed.manifest
}

/** The lockfile says by whom a release is, and how strongly it acts: its publisher must have said the same. */
function requireLocked({ publisher, name, version, adapter, use }: Manifest, locked: LockedRelease): void {
  const [least, most] = use.scaleRange
  const wrong = [
    identityToText(publisher) !== locked.publisher && 'publisher',
    name !== locked.name && 'name',
    version !== locked.version && 'version',
    (toHex(adapter.sha256) !== locked.sha256 || adapter.bytes !== locked.bytes) && 'adapter',
    (locked.scale < least || locked.scale > most) && 'strength',
  ].find((field) => field !== false)
  if (wrong === undefined) return
  throw new MeshError(
    'manifest-mismatch',
    `${locked.name}@${locked.version} is not what this link says: its signed manifest has another ${wrong}.`,
    { release: locked.releaseId, field: wrong },
  )
}

function suggestedPrompt({ name, version, use }: Manifest): OpenedPersona['systemPrompts'] {
  return use.systemPrompt === undefined ? [] : [{ release: `${name}@${version}`, text: use.systemPrompt }]
}
