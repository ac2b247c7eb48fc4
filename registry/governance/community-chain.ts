// One community's certificates as this node holds them: each checked when it came and again when it was read from the disk, in one chain.
import { bytesEqual, isMeshError, MeshError, openCertificate } from '../../protocol/index.ts'
import type { OpenedCertificate, OpenedGenesis } from '../../protocol/index.ts'
import { blob } from '../database.ts'
import type { Database } from '../database.ts'
import { applyCertificate } from './apply-decision.ts'
import { startOfChain } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'

export type CertificateOutcome =
  | { readonly kind: 'appended' }
  | { readonly kind: 'known' }
  /** All members together decided where the admins had decided something else: theirs counts. */
  | { readonly kind: 'outranked'; readonly from: number }
  /** Those before it are missing. */
  | { readonly kind: 'gap'; readonly length: number }
  | { readonly kind: 'refused'; readonly why: string }

export class CommunityChain {
  readonly #database: Database
  readonly #genesis: OpenedGenesis
  #certificates: OpenedCertificate[] = []
  /** After 0, 1, 2 ... certificates. */
  #states: ChainState[]

  /** Throws `storage-failed` when what was stored does not hold together. */
  constructor(database: Database, genesis: OpenedGenesis) {
    this.#database = database
    this.#genesis = genesis
    this.#states = [startOfChain(genesis)]
    const rows = database.all('SELECT sealed FROM certificates WHERE community = ? ORDER BY position', genesis.id)
    for (const row of rows) this.#extend(readBack(blob(row, 'sealed')))
  }

  get state(): ChainState {
    return this.#states.at(-1)!
  }

  get length(): number {
    return this.#certificates.length
  }

  /** In order; `from` is a position. */
  certificates(from = 0): readonly OpenedCertificate[] {
    return this.#certificates.slice(from)
  }

  /** Checks it and, if it follows, stores it. Throws what `openCertificate` throws, `disk-full` or `storage-failed`. */
  offer(sealed: Uint8Array): CertificateOutcome {
    return this.offerOpened(openCertificate(sealed))
  }

  /** Like `offer`, for one whose signatures were checked in this process. */
  offerOpened(certificate: OpenedCertificate): CertificateOutcome {
    const { position, community } = certificate.decision
    if (!bytesEqual(community, this.#genesis.id)) return { kind: 'refused', why: 'It is of another community.' }
    if (position > this.length) return { kind: 'gap', length: this.length }
    if (position < this.length) return this.#offerPast(certificate)
    const applied = applyCertificate(this.state, certificate)
    if (applied.kind === 'refused') return applied
    this.#store(certificate, position)
    return { kind: 'appended' }
  }

  #offerPast(certificate: OpenedCertificate): CertificateOutcome {
    const { position, electorate } = certificate.decision
    const held = this.#certificates[position]!
    if (bytesEqual(held.id, certificate.id)) return { kind: 'known' }
    const outranks = electorate === 'members' && held.decision.electorate === 'admins'
    if (!outranks) return { kind: 'refused', why: 'Another certificate stands in its place.' }
    const applied = applyCertificate(this.#states[position]!, certificate)
    if (applied.kind === 'refused') return applied
    this.#store(certificate, position)
    return { kind: 'outranked', from: position }
  }

  #store(certificate: OpenedCertificate, position: number): void {
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM certificates WHERE community = ? AND position >= ?', this.#genesis.id, position)
      this.#database.run(
        'INSERT INTO certificates (community, position, id, sealed) VALUES (?, ?, ?, ?)',
        this.#genesis.id,
        position,
        certificate.id,
        certificate.sealed,
      )
    })
    this.#certificates = this.#certificates.slice(0, position)
    this.#states = this.#states.slice(0, position + 1)
    this.#extend(certificate)
  }

  #extend(certificate: OpenedCertificate): void {
    const applied = applyCertificate(this.state, certificate)
    if (applied.kind === 'refused') throw damaged(applied.why)
    this.#certificates.push(certificate)
    this.#states.push(applied.state)
  }
}

function readBack(sealed: Uint8Array): OpenedCertificate {
  try {
    return openCertificate(sealed)
  } catch (cause) {
    if (!isMeshError(cause)) throw cause
    throw damaged(cause.message)
  }
}

function damaged(why: string): MeshError {
  return new MeshError(
    'storage-failed',
    `The registry file is damaged: a stored certificate does not hold (${why}). Put back a backup of the data folder, or move registry.sqlite away: peers still hold what they were sent.`,
  )
}
