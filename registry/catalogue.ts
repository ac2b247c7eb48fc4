// The releases a plan may draw on: those of members of the communities this node follows and its own; when the user asks for any
// publisher, also everything else that is held, marked as an outsider's.
import { bytesEqual, fromHex, MeshError, openManifest, toHex } from '../protocol/index.ts'
import type { Manifest, SignedManifest } from '../protocol/index.ts'
import type { Communities, Community } from './communities.ts'
import { releaseNameKey } from './fold-community.ts'
import type { FoldedRelease } from './fold-community.ts'
import type { KnownLogs } from './known-logs.ts'
import type { NotedReleases } from './noted-releases.ts'

export interface CatalogueEntry {
  /** 32 bytes. */
  readonly releaseId: Uint8Array
  readonly manifest: Manifest
  /** Of the release torrent, 20 bytes: a transport hint. */
  readonly infohash: Uint8Array
  /** Identity, 32 bytes. */
  readonly publisher: Uint8Array
  /** Ids of the followed communities in which it counts. */
  readonly communities: readonly Uint8Array[]
  /** Whether its publisher is a member of one of them. */
  readonly member: boolean
  /** Whether it is this node's own. */
  readonly own: boolean
  /** Neither a member's nor our own: only shown when any publisher was asked for. */
  readonly outsider: boolean
  /** The signed manifest: the file `manifest` of the release torrent. */
  readonly sealed: Uint8Array
  /** Why its publisher, or a followed community, no longer recommends it. Not for new plans; lockfiles that name it may use it. */
  readonly withdrawn: string | undefined
}

export interface CatalogueOptions {
  /** Also what publishers outside the followed communities offer. */
  readonly anyPublisher?: boolean
}

const publicOnly = 'public'

export class Catalogue {
  readonly #logs: KnownLogs
  readonly #communities: Communities
  readonly #noted: NotedReleases
  readonly #self: Uint8Array
  /** Author in hex -> entries by release id in hex. */
  readonly #byAuthor = new Map<string, Map<string, CatalogueEntry>>()

  constructor(logs: KnownLogs, communities: Communities, noted: NotedReleases, self: Uint8Array) {
    this.#logs = logs
    this.#communities = communities
    this.#noted = noted
    this.#self = self
    this.refreshAll()
  }

  /** Entries without any promised order. */
  entries(options: CatalogueOptions = {}): CatalogueEntry[] {
    const found: CatalogueEntry[] = []
    for (const entries of this.#byAuthor.values()) {
      for (const entry of entries.values()) if (options.anyPublisher === true || !entry.outsider) found.push(entry)
    }
    return found
  }

  /** A release by its id, outsiders' included: whoever has the id has asked for it. */
  find(releaseId: Uint8Array): CatalogueEntry | undefined {
    const id = toHex(releaseId)
    return this.#byAuthor
      .values()
      .map((entries) => entries.get(id))
      .find((entry) => entry !== undefined)
  }

  /** Throws `version-taken` when this publisher's name, version and base is known to name another release. */
  requireName({ manifest, releaseId }: SignedManifest): void {
    const { publisher, name, version, base } = manifest
    const wanted = releaseNameKey(name, version, base.id)
    for (const entry of this.#byAuthor.get(toHex(publisher))?.values() ?? []) {
      const other = entry.manifest
      if (releaseNameKey(other.name, other.version, other.base.id) !== wanted) continue
      if (bytesEqual(entry.releaseId, releaseId)) continue
      throw new MeshError('version-taken', `${name}@${version} of this publisher is known as another release.`, {
        name,
        version,
        owner: toHex(entry.releaseId),
        refused: toHex(releaseId),
      })
    }
  }

  /** After communities came, went or got to know their members. */
  refreshAll(): void {
    this.#byAuthor.clear()
    for (const author of this.#logs.authors()) this.refreshAuthor(fromHex(author))
    for (const author of this.#noted.publishers()) this.refreshAuthor(author)
  }

  /** After one of an author's logs changed. */
  refreshAuthor(author: Uint8Array): void {
    const entries = new Map<string, CatalogueEntry>()
    for (const community of this.#communities.all()) {
      if (this.#communities.roleOf(community, author) === undefined) continue
      for (const release of this.#logs.part(author, community.scope).releases) {
        const withdrawn = release.withdrawn ?? withdrawnBy(community, release)
        this.#add(entries, author, { ...release, withdrawn }, community.id)
      }
    }
    for (const release of this.#logs.part(author, publicOnly).releases) this.#add(entries, author, release)
    for (const noted of this.#noted.of(author)) {
      const release = openManifest(noted.sealed)
      if (entries.has(toHex(release.releaseId))) continue
      this.#add(entries, author, { release, infohash: noted.infohash, withdrawn: undefined })
    }
    if (entries.size === 0) this.#byAuthor.delete(toHex(author))
    else this.#byAuthor.set(toHex(author), entries)
  }

  #add(
    entries: Map<string, CatalogueEntry>,
    author: Uint8Array,
    folded: Pick<FoldedRelease, 'release' | 'infohash' | 'withdrawn'>,
    community?: Uint8Array,
  ): void {
    const { release, infohash, withdrawn } = folded
    const id = toHex(release.releaseId)
    const before = entries.get(id)
    const communities = [...(before?.communities ?? []), ...(community === undefined ? [] : [community])]
    const member = communities.length > 0
    const own = bytesEqual(author, this.#self)
    entries.set(id, {
      releaseId: release.releaseId,
      manifest: release.manifest,
      infohash: before?.infohash ?? infohash,
      publisher: author,
      communities,
      member,
      own,
      outsider: !member && !own,
      sealed: release.sealed,
      withdrawn: before?.withdrawn ?? withdrawn,
    })
  }
}

function withdrawnBy({ chain, genesis }: Community, { release }: FoldedRelease): string | undefined {
  const reason = chain?.state.withdrawn.get(toHex(release.releaseId))
  return reason === undefined ? undefined : `the community ${genesis?.genesis.name} withdrew it: ${reason}`
}
