// One community's certificates as this node holds them: each checked when it came and again when it was read from the disk, in one chain.
//
// Where two certificates follow the same one. Of two by the same electorate the first that came stands: more than a third of its delegates
// signed both, and nothing can tell which is right. One of all members outranks one of the admins, which is how members replace admins who
// vanished, unless
// - more than a third of the members of then built on the admins' one (`built-on.ts`). More than two thirds signed the other, so somebody
//   contradicts himself; and who has built on a decision can't say later that nothing was decided;
// - only admins signed the other: it has no more weight than what they decided as admins.
// These two depend on nothing but the two branches, so nodes that are shown both come to hold the same one, in whatever order they come, also
// where a torn community went on in both parts. What nobody but the admins and people they brought in since built on, however much it is,
// stays outranked: an admin can't hold off the members by deciding secretly, nor come back later with a past of its own making.
// The last brake depends on what a node lives with: it leaves no branch on which as many newcomers have spoken as members back the other.
// Otherwise the few members of a community's first days, if they had never said anything since, could overturn all that came after. No
// certificate can tell real newcomers from invented ones, so here alone nodes that were shown different branches first may stay apart.
import {
  bytesEqual,
  isMeshError,
  MeshError,
  openCertificate,
  readClaimedCertificate,
  toHex,
} from '../../protocol/index.ts'
import type { ClaimedCertificate, OpenedCertificate, OpenedGenesis } from '../../protocol/index.ts'
import { blob } from '../database.ts'
import type { Database } from '../database.ts'
import { applyCertificate, applyVerified } from './apply-decision.ts'
import type { Applied } from './apply-decision.ts'
import { BuiltOn } from './built-on.ts'
import { delegatesOf, quorumOf, startOfChain } from './chain-state.ts'
import type { ChainState, Member } from './chain-state.ts'

export type CertificateOutcome =
  | { readonly kind: 'appended' }
  | { readonly kind: 'known' }
  /** It counts instead of what stood there and after it. */
  | { readonly kind: 'outranked'; readonly from: number }
  /** Those before it are missing. */
  | { readonly kind: 'gap'; readonly length: number }
  /** Of a branch that does not count here, and that others may hold in good faith; it parts from the chain in this place, or before. */
  | { readonly kind: 'other-branch'; readonly parted: 'here' | 'before'; readonly why: string }
  /** Nobody who checks can hold it. */
  | { readonly kind: 'refused'; readonly why: string }

/** States kept for certificates that come late. Older ones are worked out again. */
const statesKept = 16

/** Identities in hex of those in force at a position. Shared by neighbours whose members are the same. */
interface Bodies {
  readonly of: ReadonlyMap<string, Member>
  readonly members: ReadonlySet<string>
  readonly admins: ReadonlySet<string>
}

interface Step {
  readonly certificate: OpenedCertificate
  readonly state: ChainState
}

export class CommunityChain {
  readonly #database: Database
  readonly #genesis: OpenedGenesis
  #certificates: OpenedCertificate[] = []
  /** Who could sign each. */
  #bodies: Bodies[] = []
  #built = new BuiltOn()
  /** After the first, second ... certificate; those further back than `statesKept` are let go. */
  readonly #states = new Map<number, ChainState>()
  #state: ChainState

  /** Throws `storage-failed` when what was stored does not hold together. */
  constructor(database: Database, genesis: OpenedGenesis) {
    this.#database = database
    this.#genesis = genesis
    this.#state = startOfChain(genesis)
    const rows = database.all('SELECT sealed FROM certificates WHERE community = ? ORDER BY position', genesis.id)
    for (const row of rows) {
      const certificate = readBack(blob(row, 'sealed'))
      this.#extend({ certificate, state: stateOrDamage(applyCertificate(this.#state, certificate)) })
    }
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

  /** Whether a chain of this length and with this head is a part of this one. */
  holds(length: number, head: Uint8Array): boolean {
    const id = this.#headOf(length)
    return id !== undefined && bytesEqual(id, head)
  }

  /** How many delegates could sign the certificate at a position, of the electorate that it names. */
  delegatesAt(position: number): number {
    const certificate = this.#certificates[position]
    if (certificate === undefined) throw new Error(`no certificate at ${position}`)
    return this.#delegatesFor(certificate).size
  }

  /**
   * Checks it and, if it follows, stores it. Throws what `openCertificate` throws, `disk-full` or `storage-failed`. Signatures are checked
   * only where the certificate could count and names enough delegates as its signers: what strangers make up costs little.
   */
  offer(sealed: Uint8Array): CertificateOutcome {
    return this.#placeOf(readClaimedCertificate(sealed)) ?? this.offerOpened(openCertificate(sealed))
  }

  /** Like `offer`, for one whose signatures were checked in this process. */
  offerOpened(certificate: OpenedCertificate): CertificateOutcome {
    const settled = this.#placeOf(certificate)
    if (settled !== undefined) return settled
    const { position } = certificate.decision
    const applied = applyCertificate(this.stateAt(position), certificate)
    if (applied.kind === 'refused') return applied
    return this.#take([{ certificate, state: applied.state }])
  }

  /**
   * For certificates in their order, the first of which was found to be of another branch that parts there: whether all of them together
   * count instead of what is here. A branch of the admins can show only by what follows that it was built on. Throws as `offer` does.
   */
  offerBranch(sealed: readonly Uint8Array[]): CertificateOutcome {
    const claimed = sealed.map(readClaimedCertificate)
    const stands = this.#whyBranchDoesNotCount(claimed)
    if (stands !== undefined) return { kind: 'other-branch', parted: 'here', why: stands }
    const steps: Step[] = []
    let state = this.stateAt(claimed[0]!.decision.position)
    for (const one of sealed) {
      const certificate = openCertificate(one)
      const applied = applyCertificate(state, certificate)
      if (applied.kind === 'refused') return applied
      state = applied.state
      steps.push({ certificate, state })
    }
    return this.#take(steps)
  }

  /** After so many certificates. */
  stateAt(position: number): ChainState {
    if (position === this.length) return this.#state
    const kept = this.#states.get(position)
    if (kept !== undefined) return kept
    let state = startOfChain(this.#genesis)
    for (const certificate of this.#certificates.slice(0, position)) {
      state = stateOrDamage(applyVerified(state, certificate))
    }
    return state
  }

  // --- Which one counts

  /** What becomes of it if all signatures are right, as far as that can be told without them; undefined where it depends on its content. */
  #placeOf(claimed: ClaimedCertificate): CertificateOutcome | undefined {
    const { position, community, previous } = claimed.decision
    if (!bytesEqual(community, this.#genesis.id)) return { kind: 'refused', why: 'It is of another community.' }
    if (position > this.length) return { kind: 'gap', length: this.length }
    const held = this.#certificates[position]
    if (held !== undefined && bytesEqual(held.id, claimed.id)) return { kind: 'known' }
    if (!bytesEqual(previous, this.#headOf(position)!)) return followsAnother(position)
    const delegates = this.#delegatesFor(claimed)
    const signers = among(claimed, delegates)
    if (signers < quorumOf(delegates.size)) {
      return { kind: 'refused', why: `${signers} of ${delegates.size} delegates signed it; more are needed.` }
    }
    const why = held && this.#whyStands(held, claimed)
    return why === undefined ? undefined : { kind: 'other-branch', parted: 'here', why }
  }

  /** Why what is held counts, and not this other one in its place; undefined if the other does. */
  #whyStands(held: OpenedCertificate, other: ClaimedCertificate): string | undefined {
    const { position, electorate } = held.decision
    if (electorate !== 'admins' || other.decision.electorate !== 'members') return firstStands
    const bodies = this.#bodiesAt(position)
    const { members } = bodies
    if (!isMoreThanTheAdmins(other, bodies)) return adminsAlone
    if (3 * this.#built.members(members, position) > members.size) return builtOn
    return this.#built.newcomers(members, position) >= among(other, members) ? manyNewcomers : undefined
  }

  /** The other way round: why what all members decided stands against a branch of the admins. */
  #whyBranchDoesNotCount(branch: readonly ClaimedCertificate[]): string | undefined {
    const [first] = branch
    const held = first && this.#certificates[first.decision.position]
    if (held === undefined || !bytesEqual(held.decision.previous, first!.decision.previous))
      return 'It parts elsewhere.'
    if (held.decision.electorate !== 'members' || first!.decision.electorate !== 'admins') return firstStands
    const { position } = held.decision
    const bodies = this.#bodiesAt(position)
    const { members } = bodies
    if (!isMoreThanTheAdmins(held, bodies)) return firstStands
    const built = new BuiltOn()
    for (const certificate of branch) built.add(certificate)
    const backers = built.members(members, position)
    if (3 * backers <= members.size) return membersDecided
    return this.#built.newcomers(members, position) >= backers ? manyNewcomers : undefined
  }

  #headOf(length: number): Uint8Array | undefined {
    return length === 0 ? this.#genesis.id : this.#certificates[length - 1]?.id
  }

  #delegatesFor({ decision }: ClaimedCertificate): ReadonlySet<string> {
    return this.#bodiesAt(decision.position)[decision.electorate]
  }

  #bodiesAt(position: number): Bodies {
    return this.#bodies[position] ?? this.#bodiesNow()
  }

  #bodiesNow(): Bodies {
    const last = this.#bodies.at(-1)
    const { members } = this.#state
    if (last?.of === members) return last
    return { of: members, members: new Set(members.keys()), admins: new Set(delegatesOf(this.#state, 'admins')) }
  }

  // --- Keeping

  /** Stores them, and follows them from the first one's position on. */
  #take(steps: readonly Step[]): CertificateOutcome {
    const from = steps[0]!.certificate.decision.position
    const outranks = from < this.length
    this.#store(from, steps)
    if (outranks) this.#goBackTo(from)
    for (const step of steps) this.#extend(step)
    return outranks ? { kind: 'outranked', from } : { kind: 'appended' }
  }

  #store(from: number, steps: readonly Step[]): void {
    const community = this.#genesis.id
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM certificates WHERE community = ? AND position >= ?', community, from)
      for (const { certificate } of steps) {
        const { id, sealed, decision } = certificate
        this.#database.run(
          'INSERT INTO certificates (community, position, id, sealed) VALUES (?, ?, ?, ?)',
          community,
          decision.position,
          id,
          sealed,
        )
      }
    })
  }

  #goBackTo(position: number): void {
    this.#state = this.stateAt(position)
    for (const later of this.#states.keys()) if (later > position) this.#states.delete(later)
    this.#certificates = this.#certificates.slice(0, position)
    this.#bodies = this.#bodies.slice(0, position)
    this.#built = new BuiltOn()
    for (const certificate of this.#certificates) this.#built.add(certificate)
  }

  #extend({ certificate, state }: Step): void {
    this.#states.set(this.length, this.#state)
    this.#states.delete(this.length - statesKept)
    this.#bodies.push(this.#bodiesNow())
    this.#built.add(certificate)
    this.#certificates.push(certificate)
    this.#state = state
  }
}

const firstStands = 'Another certificate stands in its place.'
const adminsAlone = 'Only admins signed it, and they had decided something else.'
const builtOn = 'More than a third of the members of then built on what was decided.'
const membersDecided = 'More than two thirds of the members decided something else.'
const manyNewcomers = 'As many people have come in since, and spoken, as back it.'

function followsAnother(position: number): CertificateOutcome {
  return position === 0
    ? { kind: 'refused', why: 'The first certificate follows the genesis.' }
    : { kind: 'other-branch', parted: 'before', why: 'It follows another certificate.' }
}

function among({ signers }: ClaimedCertificate, people: ReadonlySet<string>): number {
  return signers.filter((signer) => people.has(toHex(signer))).length
}

/** Whether one of all members has the signature of somebody who is no admin. */
function isMoreThanTheAdmins(certificate: ClaimedCertificate, { members, admins }: Bodies): boolean {
  return among(certificate, admins) < among(certificate, members)
}

function stateOrDamage(applied: Applied): ChainState {
  if (applied.kind === 'refused') throw otherRules(applied.why)
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

/** What is there is whole, and signed: it was decided by other rules than this version's, or the file was put together from several. */
function otherRules(why: string): MeshError {
  return new MeshError(
    'storage-failed',
    `A stored decision of a community does not hold by the rules of this version (${why}). It may have been made by another version of LoRA Mesh: use that one, or another --data folder.`,
  )
}

function damaged(why: string): MeshError {
  return new MeshError(
    'storage-failed',
    `The registry file is damaged: a stored certificate does not hold (${why}). Put back a backup of the data folder, or move registry.sqlite away: peers still hold what they were sent.`,
  )
}
