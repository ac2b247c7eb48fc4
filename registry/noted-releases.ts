// Releases that were found by name, without their publisher's log, and who first took which name: a second release under one name,
// version and base is refused wherever it comes from, also after a restart.
import { bytesEqual, identityToText, MeshError, openManifest, toHex } from '../protocol/index.ts'
import type { SignedManifest } from '../protocol/index.ts'
import { blob, text } from './database.ts'
import type { Database } from './database.ts'

export interface NotedRelease {
  readonly sealed: Uint8Array
  readonly infohash: Uint8Array
  readonly source: string
}

export class NotedReleases {
  readonly #database: Database
  readonly #byPublisher = new Map<string, NotedRelease[]>()

  constructor(database: Database) {
    this.#database = database
    for (const row of database.all('SELECT sealed, infohash, source FROM noted_releases')) {
      const noted = { sealed: blob(row, 'sealed'), infohash: blob(row, 'infohash'), source: text(row, 'source') }
      this.#remember(openManifest(noted.sealed), noted)
    }
  }

  publishers(): Uint8Array[] {
    return [...this.#byPublisher.values()].flatMap(([first]) =>
      first === undefined ? [] : [openManifest(first.sealed).manifest.publisher],
    )
  }

  of(publisher: Uint8Array): readonly NotedRelease[] {
    return this.#byPublisher.get(toHex(publisher)) ?? []
  }

  /** Throws `version-taken` when another release of this publisher has the name, version and base. Noting twice is fine. */
  note(release: SignedManifest, infohash: Uint8Array, source: string, time: number): void {
    const { publisher } = release.manifest
    const noted = { sealed: release.sealed, infohash, source }
    this.#database.transaction(() => {
      this.claimName(release)
      this.#database.run(
        'INSERT OR IGNORE INTO noted_releases (release, sealed, infohash, source, time) VALUES (?, ?, ?, ?, ?)',
        release.releaseId,
        release.sealed,
        infohash,
        source,
        time,
      )
    })
    const known = this.of(publisher).some((other) => bytesEqual(other.sealed, release.sealed))
    if (!known) this.#remember(release, noted)
  }

  /** Gives a name to the release that takes it first. Throws `version-taken` when it has another owner. */
  claimName(release: SignedManifest): void {
    const { publisher, name, version, base } = release.manifest
    this.#database.run(
      'INSERT OR IGNORE INTO name_owners (publisher, name, version, base, release) VALUES (?, ?, ?, ?, ?)',
      publisher,
      name,
      version,
      base.id,
      release.releaseId,
    )
    const row = this.#database.get(
      'SELECT release FROM name_owners WHERE publisher = ? AND name = ? AND version = ? AND base = ?',
      publisher,
      name,
      version,
      base.id,
    )
    if (row !== undefined && !bytesEqual(blob(row, 'release'), release.releaseId)) {
      throw new MeshError(
        'version-taken',
        `${identityToText(publisher)}/${name}@${version} already names another release for this base.`,
        { name, version, owner: toHex(blob(row, 'release')), refused: toHex(release.releaseId) },
      )
    }
  }

  #remember(release: SignedManifest, noted: NotedRelease): void {
    const publisher = toHex(release.manifest.publisher)
    const all = this.#byPublisher.get(publisher)
    if (all === undefined) this.#byPublisher.set(publisher, [noted])
    else all.push(noted)
  }
}
