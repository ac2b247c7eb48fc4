// One community's certificates as this node holds them: each checked when it came and again when it was read from the disk, in one chain.
import {
  bytesEqual,
  isMeshError,
  MeshError,
  openCertificate,
  openCertifiedDecision,
  toHex,
} from '../../protocol/index.ts'
import type { OpenedCertificate, OpenedDecision, OpenedGenesis } from '../../protocol/index.ts'
import { blob } from '../database.ts'
import type { Database } from '../database.ts'
import { applyCertificate } from './apply-decision.ts'
import { delegatesOf, startOfChain } from './chain-state.ts'
import type { ChainState } from './chain-state.ts'

export type CertificateOutcome =
  | { readonly kind: 'appended' }
  | { readonly kind: 'known' }
  /** All members together decided where the admins had decided something else: theirs counts. */
  | { readonly kind: 'outranked'; readonly from: number }
  /** Those before it are missing. */
  | { readonly kind: 'gap'; readonly length: number }
  | { readonly kind: 'refused'; readonly why: string }

/** States kept for certificates that come late. Older ones are worked out again. */
const statesKept = 16

export class CommunityChain {
  readonly #database: Database
  readonly #genesis: OpenedGenesis
  #certificates: OpenedCertificate[] = []
  /** Who could sign each, in hex. */
  readonly #delegates: ReadonlySet<string>[] = []
  /** After the first, second ... certificate; those further back than `statesKept` are let go. */
  readonly #states = new Map<number, ChainState>()
  #state: ChainState

  /** Throws `storage-failed` when what was stored does not hold together. */
  constructor(database: Database, genesis: OpenedGenesis) {
    this.#database = database
    this.#genesis = genesis
    this.#state = startOfChain(genesis)
    const rows = database.all('SELECT sealed FROM certificates WHERE community = ? ORDER BY position', genesis.id)
    for (const row of rows) this.#extend(readBack(blob(row, 'sealed')))
  }

  get state(): ChainState {
    return this.#state
  }

  get length(): number {
    return this.#certificates.length
  }

  /** In order; `from` is a position. */
  certificates(from = 0): readonly OpenedCertificate[] {
    return this.#certificates.slice(from)
  }

  /** How many delegates could sign the certificate at a position, of the electorate that it names. */
  delegatesAt(position: number): number {
    const delegates = this.#delegates[position]
    if (delegates === undefined) throw new Error(`no certificate at ${position}`)
    return delegates.size
  }

  /**
   * Checks it and, if it follows, stores it. Throws what `openCertificate` throws, `disk-full` or `storage-failed`. Signatures are checked
   * only where the certificate could count: whoever sends old ones again costs little.
   */
  offer(sealed: Uint8Array): CertificateOutcome {
    const opened = openCertifiedDecision(sealed)
    return this.#placeOf(opened) ?? this.offerOpened(openCertificate(sealed))
  }

  /** Like `offer`, for one whose signatures were checked in this process. */
  offerOpened(certificate: OpenedCertificate): CertificateOutcome {
    const settled = this.#placeOf(certificate)
    if (settled !== undefined) return settled
    const { position } = certificate.decision
    const applied = applyCertificate(this.stateAt(position), certificate)
    if (applied.kind === 'refused') return applied
    const outranks = position < this.length
    this.#store(certificate, position)
    return outranks ? { kind: 'outranked', from: position } : { kind: 'appended' }
  }

  /** What becomes of it whatever is signed under it; undefined if that depends. */
  #placeOf({ id, decision }: OpenedDecision): CertificateOutcome | undefined {
    const { position, community, electorate } = decision
    if (!bytesEqual(community, this.#genesis.id)) return { kind: 'refused', why: 'It is of another community.' }
    if (position > this.length) return { kind: 'gap', length: this.length }
    const held = this.#certificates[position]
    if (held === undefined) return undefined
    if (bytesEqual(held.id, id)) return { kind: 'known' }
    const outranks = electorate === 'members' && held.decision.electorate === 'admins'
    if (!outranks) return { kind: 'refused', why: 'Another certificate stands in its place.' }
    return this.#isConfirmed(position)
      ? { kind: 'refused', why: 'Others than the admins of then have signed what follows.' }
      : undefined
  }

  /**
   * Whether somebody else than the admins of a position signed what was decided from there on. Only what vanished admins decided by
   * themselves can be overruled: else the few members of a community's first days could overturn everything that came after.
   */
  #isConfirmed(position: number): boolean {
    const admins = this.#delegates[position]!
    return this.certificates(position).some(({ precommits }) =>
      precommits.some(({ fields }) => !admins.has(toHex(fields.author))),
    )
  }

  /** After so many certificates. */
  stateAt(position: number): ChainState {
    if (position === this.length) return this.#state
    const kept = this.#states.get(position)
    if (kept !== undefined) return kept
    let state = startOfChain(this.#genesis)
    for (const certificate of this.#certificates.slice(0, position)) state = stateAfter(state, certificate)
    return state
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
    this.#state = this.stateAt(position)
    for (const later of this.#states.keys()) if (later > position) this.#states.delete(later)
    this.#certificates = this.#certificates.slice(0, position)
    this.#delegates.length = position
    this.#extend(certificate)
  }

  #extend(certificate: OpenedCertificate): void {
    this.#states.set(this.length, this.#state)
    this.#states.delete(this.length - statesKept)
    this.#delegates.push(new Set(delegatesOf(this.#state, certificate.decision.electorate)))
    this.#state = stateAfter(this.#state, certificate)
    this.#certificates.push(certificate)
  }
}

function stateAfter(state: ChainState, certificate: OpenedCertificate): ChainState {
  const applied = applyCertificate(state, certificate)
  if (applied.kind === 'refused') throw damaged(applied.why)
  return applied.state
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
