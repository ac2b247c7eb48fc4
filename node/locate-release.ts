// Releases that a request names outright, `PUBLISHER/name`, and that no log has told of: the BitTorrent DHT (BEP 44) leads from the
// publisher's key to its devices and from a device key and the name to the newest release. All of it is a hint: what is fetched is judged
// at the door, and a pointer older than one seen before is not followed.
import { setTimeout as wait } from 'node:timers/promises'
import semver from 'semver'
import {
  MeshError,
  devicesSalt,
  fromHex,
  identityFromText,
  identityToText,
  isMeshError,
  readDevicesItem,
  readReleaseItem,
  releaseSalt,
  toHex,
} from '../protocol/index.ts'
import type { Manifest, MutableItem, ReleasePointer } from '../protocol/index.ts'
import type { PointerKey } from '../registry/index.ts'
import { extractFacets } from '../resolver/index.ts'
import type { Swarm } from '../swarm/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { readableItems } from './pointer-items.ts'
import { bothFetches, fetchSummary, nothingFetched } from './fetch-releases.ts'
import type { FetchSummary } from './fetch-releases.ts'
import type { CallContext } from './http/index.ts'

const PATIENCE_MS = 10_000
const PAUSE_MS = 500

interface NamedRelease {
  readonly publisher: string
  readonly name: string
  readonly range: string | undefined
}

/**
 * Afterwards the catalogue knows every named release that could be found and passed the door; also a newer one of a name that was known.
 * What could not be had is told, and no reason to stop. Returns what that took.
 */
export async function locateNamedReleases(node: Node, text: string, context: CallContext): Promise<FetchSummary> {
  const base = node.bases.current()
  if (base === undefined || !node.options.config.network.bep44) return nothingFetched
  let located = nothingFetched
  for (const named of namedReleases(text)) {
    const shown = `${named.publisher.slice(0, 8)}…/${named.name}`
    try {
      located = bothFetches(located, await locate(node, named, base, shown, context))
    } catch (error) {
      if (context.signal.aborted || !isMeshError(error)) throw error
      context.emit({ type: 'note', text: `${shown} was not taken from the DHT: ${error.message}` })
    }
  }
  return located
}

async function locate(
  node: Node,
  named: NamedRelease,
  base: KnownBase,
  shown: string,
  context: CallContext,
): Promise<FetchSummary> {
  const { emit, signal } = context
  emit({ type: 'note', text: `Looking for ${shown} in the DHT ...` })
  const publisher = identityFromText(named.publisher)
  const key = { publisher, name: named.name, baseId: fromHex(base.id) }
  const pointer = await findPointer(node, key, isKnown(node, named, base) ? 0 : PATIENCE_MS, signal)
  if (pointer === undefined || node.registry.release(pointer.release) !== undefined) return nothingFetched
  if (pointer.expiresAt < node.options.clock()) {
    const since = new Date(pointer.signedAt).toISOString()
    emit({ type: 'note', text: `The pointer to ${shown} is stale: its publisher has not renewed it since ${since}.` })
  }
  const { release: releaseId, infohash } = pointer
  const check = (manifest: Manifest): void => requireNamed(manifest, named)
  const since = performance.now()
  const fetched = await node.fetcher.fetch({ releaseId, infohash, label: shown, check }, base, context)
  node.registry.noteRelease(fetched.release.signed, infohash, 'pointer')
  return fetchSummary([fetched], performance.now() - since)
}

/** A pointer is a hint that anybody's bytes may stand behind. */
function requireNamed({ publisher, name, version }: Manifest, wanted: NamedRelease): void {
  if (identityToText(publisher) !== wanted.publisher || name !== wanted.name)
    throw new MeshError('manifest-mismatch', 'The pointer leads to a release of somebody else, or of another name.')
  if (wanted.range !== undefined && !semver.satisfies(version, wanted.range))
    throw new MeshError('manifest-mismatch', `The newest version there is ${version}, which ${wanted.range} excludes.`)
}

function namedReleases(text: string): NamedRelease[] {
  const facets = extractFacets(text, { names: new Set(), qualifiedNames: new Set() })
  return facets.flatMap(({ exact }) =>
    exact?.publisher === undefined ? [] : [{ publisher: exact.publisher, name: exact.name, range: exact.range }],
  )
}

/** Whether something that fits is known already: then the DHT is asked once for something newer, and not waited for. */
function isKnown(node: Node, { publisher, name, range }: NamedRelease, base: KnownBase): boolean {
  return node.registry
    .catalogue({ anyPublisher: true })
    .some(
      (entry) =>
        identityToText(entry.publisher) === publisher &&
        entry.manifest.name === name &&
        toHex(entry.manifest.base.id) === base.id &&
        (range === undefined || semver.satisfies(entry.manifest.version, range)),
    )
}

/** The newest pointer any device of the publisher has signed, asked for until one is found or patience ends. */
async function findPointer(
  node: Node,
  key: PointerKey,
  patienceMs: number,
  signal: AbortSignal,
): Promise<ReleasePointer | undefined> {
  const swarm = await node.network.start()
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await lookUp(node, swarm, key, signal)
    if (found !== undefined || performance.now() >= deadline) return found
    await pause(PAUSE_MS, signal)
  }
}

async function lookUp(
  node: Node,
  swarm: Swarm,
  key: PointerKey,
  signal: AbortSignal,
): Promise<ReleasePointer | undefined> {
  const lists = readableItems(
    await swarm.getPointers(key.publisher, devicesSalt, signal),
    key.publisher,
    devicesSalt,
    readDevicesItem,
  )
  const [devices] = lists
  if (devices === undefined) return undefined
  const salt = releaseSalt(key.name, key.baseId)
  for (const { device } of devices.value) {
    for (const { item, value } of readableItems(
      await swarm.getPointers(device, salt, signal),
      device,
      salt,
      readReleaseItem,
    )) {
      if (remembered(node, key, item)) return value
    }
  }
  const seen = node.registry.pointer(key)
  return seen === undefined ? undefined : readReleaseItem({ ...seen, salt })
}

/** False for an item older than one seen before: whoever shows it wants this node back in time. */
function remembered(node: Node, key: PointerKey, item: MutableItem): boolean {
  try {
    node.registry.rememberPointer(key, item)
    return true
  } catch (error) {
    if (isMeshError(error, 'stale')) return false
    throw error
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}
