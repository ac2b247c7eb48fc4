// Certificates travel beside the logs: each proves itself, so it doesn't matter whose log says it or what became of that log. Both sides of a
// community's topic tell how long their chain is and what it ends in. Whoever does not hold that end asks: for what follows its own chain,
// and if that doesn't fit, for what is twice as far back, until it has found where the two part. One request at a time is open per peer and
// topic, and nothing is looked at that was not asked for.
import { bytesEqual, limits, MeshError } from '../protocol/index.ts'
import type { WireMessage, WireMessageOf } from '../protocol/index.ts'
import { isKnown } from './communities.ts'
import type { Communities, KnownCommunity } from './communities.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import type { CertificateOutcome } from './governance/community-chain.ts'

const bytesPerMessage = limits.frameMaxBytes - 12 * 1024
const requestTimeoutMs = 20_000

export interface ChainSyncParts {
  readonly communities: Communities
  readonly now: () => number
  /** Certificates were stored. */
  readonly onDecided: (community: KnownCommunity) => void
}

/** With one peer, about one community's chain. */
interface Talk {
  readonly peer: ExchangePeer
  readonly community: KnownCommunity
  /** What it told last. */
  theirs: Pick<WireMessageOf<'chain/1'>, 'length' | 'head'>
  /** What it has not answered yet. */
  asked: Asked | undefined
  /** The end of a chain of which nothing more is to be had: it is another branch that does not count here, or it is not there. */
  done: Uint8Array | undefined
}

interface Asked {
  readonly from: number
  /** What for. */
  readonly head: Uint8Array
  /** By this node's clock. */
  readonly at: number
}

/** What came of a message's certificates, one after the other. */
interface Read {
  /** Those that were known or are now. */
  readonly read: number
  readonly stored: number
  /** What became of the first that was neither. */
  readonly stop: Exclude<CertificateOutcome, { readonly kind: 'appended' | 'known' | 'outranked' }> | undefined
}

export class ChainSync {
  readonly #parts: ChainSyncParts
  readonly #talks = new WeakMap<ExchangePeer, Map<string, Talk>>()

  constructor(parts: ChainSyncParts) {
    this.#parts = parts
  }

  /** Says how long the own chain is. */
  tell(peer: ExchangePeer, topicName: string): void {
    peer.send(() => this.#chainMessage(topicName))
  }

  /** Throws `malformed` for a certificate that no honest peer holds, and what `openCertificate` throws. */
  handle(
    peer: ExchangePeer,
    topicName: string,
    message: WireMessageOf<'chain/1'> | WireMessageOf<'want-certificates/1'> | WireMessageOf<'certificates/1'>,
  ): void {
    const community = this.#parts.communities.byTopic(topicName)
    if (!isKnown(community)) return
    switch (message.type) {
      case 'chain/1':
        this.#told(this.#talk(peer, topicName, community, message))
        // They may have learnt of this community only now, and missed what was told before.
        if (message.length < community.chain.length) this.tell(peer, topicName)
        return
      case 'want-certificates/1':
        peer.send(() => certificatesFrom(community, message.from))
        return
      case 'certificates/1':
        this.#received(this.#talks.get(peer)?.get(topicName), message)
        return
      default:
        message satisfies never
    }
  }

  #chainMessage(topicName: string): WireMessage | undefined {
    const community = this.#parts.communities.byTopic(topicName)
    if (!isKnown(community)) return undefined
    const { length, head } = community.chain.state
    return { type: 'chain/1', topic: community.topic, length, head }
  }

  #talk(peer: ExchangePeer, topicName: string, community: KnownCommunity, theirs: WireMessageOf<'chain/1'>): Talk {
    const talks = this.#talks.get(peer) ?? new Map<string, Talk>()
    this.#talks.set(peer, talks)
    const before = talks.get(topicName)
    // A community that was left and followed again has another chain object.
    const goesOn = before?.community.chain === community.chain
    const talk: Talk = goesOn ? before : { peer, community, theirs, asked: undefined, done: undefined }
    talk.theirs = theirs
    talks.set(topicName, talk)
    return talk
  }

  /** Asks for what is missing, unless it was asked already. */
  #told(talk: Talk): void {
    const { community, theirs, asked, done } = talk
    const { chain } = community
    if (theirs.length === 0 || chain.holds(theirs.length, theirs.head)) return
    if (done !== undefined && bytesEqual(done, theirs.head)) return
    if (asked !== undefined && this.#parts.now() - asked.at < requestTimeoutMs) return
    this.#ask(talk, theirs.length > chain.length ? chain.length : theirs.length - 1)
  }

  #ask(talk: Talk, from: number): void {
    const { topic } = talk.community
    talk.asked = { from, head: talk.theirs.head, at: this.#parts.now() }
    talk.peer.send(() => ({ type: 'want-certificates/1', topic, from }))
  }

  #received(talk: Talk | undefined, message: WireMessageOf<'certificates/1'>): void {
    const asked = talk?.asked
    if (talk === undefined || asked === undefined || asked.from !== message.from) return
    talk.asked = undefined
    const { read, stored, stop } = this.#take(talk.community, message.certificates)
    if (stop?.kind === 'refused') {
      throw new MeshError('malformed', `This peer sends a certificate that does not hold: ${stop.why}`)
    }
    const next = nextPlace(talk, asked, { read, stored, stop })
    if (next !== undefined) this.#ask(talk, next)
    else {
      if (stored === 0) talk.done = asked.head
      this.#told(talk)
    }
  }

  /** Tells of what was stored also when a later one is refused. */
  #take(community: KnownCommunity, certificates: readonly Uint8Array[]): Read {
    let read = 0
    let stored = 0
    try {
      while (read < certificates.length) {
        const [taken, outcome] = takeNext(community, certificates.slice(read))
        if (outcome.kind !== 'appended' && outcome.kind !== 'known' && outcome.kind !== 'outranked') {
          return { read, stored, stop: outcome }
        }
        read += taken
        if (outcome.kind !== 'known') stored += taken
      }
      return { read, stored, stop: undefined }
    } finally {
      if (stored > 0) this.#parts.onDecided(community)
    }
  }
}

/** The first of them, or all where together they count instead of what is here; how many were taken. */
function takeNext({ chain }: KnownCommunity, certificates: readonly Uint8Array[]): [number, CertificateOutcome] {
  const outcome = chain.offer(certificates[0]!)
  return outcome.kind === 'other-branch' && outcome.parted === 'here'
    ? [certificates.length, chain.offerBranch(certificates)]
    : [1, outcome]
}

/**
 * From where to ask for more of the same chain: further back while nothing fits, further on along what is known, and from where the chains
 * part as much of theirs as one message holds, which is what their branch can be judged by.
 */
function nextPlace({ theirs }: Talk, { from }: Asked, { read, stored, stop }: Read): number | undefined {
  if (read === 0 && from > 0 && stop?.kind === 'other-branch' && stop.parted === 'before') {
    return Math.max(0, from - Math.max(1, theirs.length - from) - 1)
  }
  if (read > 0 && stop?.kind === 'other-branch' && stop.parted === 'here') return from + read
  return stop === undefined && stored === 0 && read > 0 && from + read < theirs.length ? from + read : undefined
}

function certificatesFrom({ topic, chain }: KnownCommunity, from: number): WireMessage {
  const certificates: Uint8Array[] = []
  let bytes = 0
  for (const { sealed } of chain.certificates(from)) {
    bytes += sealed.length
    if (certificates.length > 0 && bytes > bytesPerMessage) break
    if (certificates.length === limits.certificatesPerMessageMax) break
    certificates.push(sealed)
  }
  return { type: 'certificates/1', topic, from, certificates }
}
