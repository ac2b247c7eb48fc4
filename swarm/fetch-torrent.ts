// One torrent from its infohash into a staging folder: through crashes of the network child, with seeders as they become known, until
// nobody sends anything any more. What it is worth is for a door to say, which fetch-release.ts and fetch-patch.ts have; nothing that it
// refuses is kept or served on.
import { rm } from 'node:fs/promises'
import { isMeshError, MeshError, toHex } from '../protocol/index.ts'
import type { FetchEvent, FetchProgress, FetchRequest, FetchResult, PeerName } from './network-child/messages.ts'
import type { NetworkClient } from './network-client.ts'

export type FetchTorrentEvent =
  | { readonly kind: 'progress'; readonly progress: FetchProgress }
  | { readonly kind: 'verifying' }
  | { readonly kind: 'peer-blamed'; readonly peer: PeerName; readonly banned: boolean }

export interface FetchTorrentOptions {
  /** Where unverified bytes lie; what an interrupted fetch left there is verified and kept. */
  readonly folder: string
  /** Transfer keys of peers that serve the infohash, as they become known. */
  findSeeders(infohash: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Gives up with `no-seeder` after this long without a byte from anyone. */
  readonly patienceMs: number
  readonly signal: AbortSignal
  readonly clock: () => number
  onEvent(event: FetchTorrentEvent): void
}

export interface FetchTorrentJob<Verified> extends FetchTorrentOptions {
  /** 20 bytes. */
  readonly infohash: Uint8Array
  readonly request: Pick<FetchRequest, 'kind' | 'metainfo'>
  /** Whether what is known so far is worth the rest. Asked once its first file is there, where it has several. Throws what is wrong. */
  judgeStart?(totalBytes: number): Promise<void>
  /** Whether the size is the one that is wanted. Asked as soon as it is known. Throws what is wrong. */
  judgeSize?(totalBytes: number): void
  /** Throws what is wrong with what was fetched. */
  passDoor(fetched: FetchResult): Promise<Verified>
}

const crashesMax = 3

/** Throws `no-seeder`, `aborted`, `disk-full`, `piece-mismatch`; and, with nothing kept, what the job's judges throw. */
export async function fetchTorrent<Verified>(client: NetworkClient, job: FetchTorrentJob<Verified>): Promise<Verified> {
  const fetched = await fetchThroughCrashes(client, job)
  job.onEvent({ kind: 'verifying' })
  try {
    return await job.passDoor(fetched)
  } catch (error) {
    // What is not known to be right is not served on. It stays for the next try unless it is what is wrong: an engine that crashed, or a
    // base that was moved, says nothing against the bytes.
    if (isRefusal(error) && !job.signal.aborted) await discard(client, job)
    else await client.drop(job.infohash).catch(() => {})
    throw error
  }
}

type Fetch = Omit<FetchTorrentJob<unknown>, 'passDoor'>

async function fetchThroughCrashes(client: NetworkClient, job: Fetch): Promise<FetchResult> {
  for (let crashes = 0; ; crashes++) {
    try {
      return await fetchOnce(client, job)
    } catch (error) {
      if (!isMeshError(error, 'child-crashed') || crashes >= crashesMax) throw error
    }
  }
}

async function fetchOnce(client: NetworkClient, job: Fetch): Promise<FetchResult> {
  const { infohash, folder, request, clock } = job
  const stop = new AbortController()
  const signal = AbortSignal.any([job.signal, stop.signal])
  const lastByte = { atMs: clock(), bytes: -1 }
  let totalBytes = 0
  const onProgress = (progress: FetchProgress): void => {
    job.onEvent({ kind: 'progress', progress })
    totalBytes = progress.totalBytes
    if (totalBytes > 0) stopIfWrong(() => job.judgeSize?.(totalBytes), stop)
    if (progress.bytes !== lastByte.bytes) Object.assign(lastByte, { atMs: clock(), bytes: progress.bytes })
    else if (clock() - lastByte.atMs > job.patienceMs) stop.abort(noSeeder(job))
  }
  const onEvent = (event: FetchEvent): void => {
    if (event.kind === 'progress') onProgress(event.progress)
    else if (event.kind === 'blame') job.onEvent({ kind: 'peer-blamed', peer: event.peer, banned: event.banned })
    // The manifest tells whether the gigabyte behind it is worth fetching.
    else job.judgeStart?.(totalBytes).catch((error: unknown) => stop.abort(error))
  }
  const fetching = client.request(
    'fetch',
    { ...request, infohash, folder, sources: { transferKeys: [], addresses: [] } },
    { signal, onEvent: (event) => onEvent(event as FetchEvent) },
  )
  const found = new AbortController()
  const sources = passOnSeeders(client, job, AbortSignal.any([signal, found.signal]))
  try {
    return await fetching
  } catch (error) {
    if (!stop.signal.aborted) throw error
    // `no-seeder` keeps what was fetched for the next try; what is wrong leaves nothing.
    if (isRefusal(stop.signal.reason)) await discard(client, job)
    throw stop.signal.reason
  } finally {
    found.abort()
    await sources
  }
}

function stopIfWrong(judge: () => void, stop: AbortController): void {
  try {
    judge()
  } catch (error) {
    stop.abort(error)
  }
}

function isRefusal(error: unknown): boolean {
  return isMeshError(error) && (error.blame === 'peer' || error.blame === 'publisher')
}

async function passOnSeeders(
  client: NetworkClient,
  { infohash, findSeeders }: Fetch,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const key of findSeeders(infohash, signal)) {
      await client.request('fetch-sources', { infohash, sources: { transferKeys: [key], addresses: [] } }, { signal })
    }
  } catch {
    // Other ways of finding seeders go on without this one.
  }
}

/** Refused bytes are not kept, and not served on. */
async function discard(client: NetworkClient, { infohash, folder }: Fetch): Promise<void> {
  await client.drop(infohash).catch(() => {})
  await rm(folder, { recursive: true, force: true })
}

function noSeeder({ infohash, request, patienceMs }: Fetch): MeshError {
  return new MeshError(
    'no-seeder',
    `Nobody sent anything of this ${request.kind} for ${Math.round(patienceMs / 1000)} s. What was fetched is kept: ask again when a seeder is online.`,
    { infohash: toHex(infohash) },
  )
}
