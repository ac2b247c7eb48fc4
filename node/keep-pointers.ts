// Keeps this node's pointers alive in the BitTorrent DHT (BEP 44), where an item dies about two hours after its last put: its device list,
// one pointer per own (name, base), and those it met of others whose releases it holds. Signed here; the network child only carries them.
import {
  bytesEqual,
  compareBytes,
  isMeshError,
  limits,
  readReleaseItem,
  releaseSalt,
  signReleaseItem,
  toHex,
} from '../protocol/index.ts'
import type { MutableItem } from '../protocol/index.ts'
import { systemClock } from '../registry/index.ts'
import type { CatalogueEntry, PointerKey, Registry, SeenPointer } from '../registry/index.ts'
import semver from 'semver'
import type { Swarm } from '../swarm/index.ts'
import type { NodeKeys } from './keys.ts'
import { readableItems } from './pointer-items.ts'
import type { ReleaseStore } from './release-store.ts'

const AGAIN_MS = 3_600_000
/** After a put that reached nobody: the DHT may just not have been met yet. */
const RETRY_MS = 5_000
/** A pointer is signed anew when less than this is left of its life. */
const RENEW_BEFORE_MS = limits.pointerLifetimeMs / 2

export interface PointerParts {
  readonly keys: NodeKeys
  readonly registry: Registry
  readonly releases: ReleaseStore
  readonly clock: () => number
}

type PointerPort = Pick<Swarm, 'putPointer' | 'getPointers'>

/** Puts everything now, after every own release, and hourly. */
export function keepPointers(parts: PointerParts, swarm: PointerPort): AsyncDisposable {
  const stopped = new AbortController()
  let cancel = (): void => {}
  let running: Promise<void> | undefined
  let again = false
  const work = async (): Promise<void> => {
    let reached = true
    do {
      again = false
      reached = await putAll(parts, swarm, stopped.signal)
    } while (again && !stopped.signal.aborted)
    running = undefined
    if (!stopped.signal.aborted) cancel = systemClock.schedule(reached ? AGAIN_MS : RETRY_MS, run)
  }
  const run = (): void => {
    again = true
    cancel()
    running ??= work()
  }
  const unsubscribe = parts.registry.onEvent((event) => {
    if (event.kind === 'records' && bytesEqual(event.key.author, parts.keys.author.identity)) run()
  })
  run()
  return {
    async [Symbol.asyncDispose]() {
      stopped.abort()
      unsubscribe()
      cancel()
      await running
    },
  }
}

/** Whether every put reached some node. */
async function putAll(parts: PointerParts, swarm: PointerPort, signal: AbortSignal): Promise<boolean> {
  let reached = true
  const own = await ownItems(parts, swarm, signal)
  for (const item of [parts.keys.devicesItem, ...own, ...heldItems(parts)]) {
    try {
      if ((await swarm.putPointer(item, signal)) === 0) reached = false
    } catch (error) {
      if (!isMeshError(error)) throw error
      reached = false
    }
  }
  return reached
}

async function ownItems(parts: PointerParts, swarm: PointerPort, signal: AbortSignal): Promise<MutableItem[]> {
  const own = parts.registry.catalogue().filter((entry) => entry.own && entry.withdrawn === undefined)
  const byPointer = Map.groupBy(own, ({ manifest }) => `${manifest.name}\n${toHex(manifest.base.id)}`)
  const items: MutableItem[] = []
  for (const entries of byPointer.values()) items.push(await ownItem(parts, swarm, newest(entries), signal))
  return items
}

function newest(entries: readonly CatalogueEntry[]): CatalogueEntry {
  const sorted = entries.toSorted(
    (a, b) => semver.rcompare(a.manifest.version, b.manifest.version) || compareBytes(a.releaseId, b.releaseId),
  )
  return sorted[0]!
}

/** The same bytes as long as nothing changes; every other value has a higher sequence number than any before. */
async function ownItem(
  parts: PointerParts,
  swarm: PointerPort,
  entry: CatalogueEntry,
  signal: AbortSignal,
): Promise<MutableItem> {
  const { keys, registry, clock } = parts
  const { manifest, releaseId, infohash } = entry
  const key: PointerKey = { publisher: entry.publisher, name: manifest.name, baseId: manifest.base.id }
  const salt = releaseSalt(key.name, key.baseId)
  const length = registry.publicLogLength()
  const now = clock()
  const signed = await lastSigned(parts, swarm, key, signal)
  if (signed !== undefined) {
    const pointer = readReleaseItem({ ...signed, salt })
    const current = pointer.length === length && bytesEqual(pointer.release, releaseId)
    if (current && pointer.expiresAt - now > RENEW_BEFORE_MS) return { ...signed, salt }
  }
  const pointer = { release: releaseId, infohash, length, signedAt: now, expiresAt: now + limits.pointerLifetimeMs }
  const seq = Math.max(length, (signed?.seq ?? -1) + 1)
  const item = signReleaseItem(key.name, key.baseId, pointer, keys.author.device, seq)
  registry.rememberPointer(key, item)
  return item
}

/** What this device signed last under a name: as it remembers, else (its data folder may have been restored) as the DHT does. */
async function lastSigned(
  { keys, registry }: PointerParts,
  swarm: PointerPort,
  key: PointerKey,
  signal: AbortSignal,
): Promise<SeenPointer | undefined> {
  const device = keys.author.device.publicKey
  const seen = registry.pointer(key)
  if (seen !== undefined) return bytesEqual(seen.publicKey, device) ? seen : undefined
  const salt = releaseSalt(key.name, key.baseId)
  const met = await swarm.getPointers(device, salt, signal).catch((error: unknown) => {
    if (!isMeshError(error)) throw error
    return []
  })
  return readableItems(met, device, salt, readReleaseItem)[0]?.item
}

function heldItems({ keys, registry, releases }: PointerParts): MutableItem[] {
  return releases.list().flatMap(({ signed: { manifest } }) => {
    if (bytesEqual(manifest.publisher, keys.author.identity)) return []
    const key = { publisher: manifest.publisher, name: manifest.name, baseId: manifest.base.id }
    const seen = registry.pointer(key)
    return seen === undefined ? [] : [{ ...seen, salt: releaseSalt(key.name, key.baseId) }]
  })
}
