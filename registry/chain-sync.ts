// Certificates travel beside the logs: each proves itself, so it doesn't matter whose log says it or what became of that log. Both sides of a
// community's topic tell how long their chain is; whoever's is shorter asks for the rest.
import { bytesEqual, limits, MeshError } from '../protocol/index.ts'
import type { WireMessage, WireMessageOf } from '../protocol/index.ts'
import { isKnown } from './communities.ts'
import type { Communities, KnownCommunity } from './communities.ts'
import type { ExchangePeer } from './exchange-peer.ts'

const bytesPerMessage = limits.frameMaxBytes - 12 * 1024
const requestTimeoutMs = 20_000

export interface ChainSyncParts {
  readonly communities: Communities
  readonly now: () => number
  /** Certificates were stored. */
  readonly onDecided: (community: KnownCommunity) => void
}

interface PeerChains {
  /** By topic in hex: when it was asked for more. */
  readonly asked: Map<string, number>
  /** By topic in hex: the head for which the whole chain was asked once. */
  readonly askedWhole: Map<string, Uint8Array>
  /** By topic in hex: the head it told last. */
  readonly heads: Map<string, WireMessageOf<'chain/1'>>
}

export class ChainSync {
  readonly #parts: ChainSyncParts
  readonly #peers = new WeakMap<ExchangePeer, PeerChains>()

  constructor(parts: ChainSyncParts) {
    this.#parts = parts
  }

  /** Says how long the own chain is. */
  tell(peer: ExchangePeer, topicName: string): void {
    peer.send(() => this.#chainMessage(topicName))
  }

  /** Throws `malformed` for a certificate that is none. */
  handle(
    peer: ExchangePeer,
    topicName: string,
    message: WireMessageOf<'chain/1'> | WireMessageOf<'want-certificates/1'> | WireMessageOf<'certificates/1'>,
  ): void {
    const community = this.#parts.communities.byTopic(topicName)
    if (!isKnown(community)) return
    switch (message.type) {
      case 'chain/1':
        this.#of(peer).heads.set(topicName, message)
        // They may have learnt of this community only now, and missed what was told before.
        if (message.length < community.chain.length) this.tell(peer, topicName)
        else this.#askForMore(peer, topicName, community)
        return
      case 'want-certificates/1':
        peer.send(() => certificatesFrom(community, message.from))
        return
      case 'certificates/1':
        this.#received(peer, topicName, community, message)
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

  #askForMore(peer: ExchangePeer, topicName: string, { chain, topic }: KnownCommunity): void {
    const chains = this.#of(peer)
    const theirs = chains.heads.get(topicName)
    if (theirs === undefined || bytesEqual(theirs.head, chain.state.head) || theirs.length < chain.length) return
    const now = this.#parts.now()
    const askedAt = chains.asked.get(topicName)
    if (askedAt !== undefined && now - askedAt < requestTimeoutMs) return
    // Of equal length and yet another chain: somewhere before, all members outranked the admins.
    const whole = theirs.length === chain.length
    if (whole && !this.#mayAskWhole(chains, topicName, theirs.head)) return
    chains.asked.set(topicName, now)
    const from = whole ? 0 : chain.length
    peer.send(() => ({ type: 'want-certificates/1', topic, from }))
  }

  #mayAskWhole(chains: PeerChains, topicName: string, head: Uint8Array): boolean {
    const before = chains.askedWhole.get(topicName)
    chains.askedWhole.set(topicName, head)
    return before === undefined || !bytesEqual(before, head)
  }

  #received(
    peer: ExchangePeer,
    topicName: string,
    community: KnownCommunity,
    message: WireMessageOf<'certificates/1'>,
  ): void {
    const chains = this.#of(peer)
    chains.asked.delete(topicName)
    let stored = 0
    let read = 0
    let refused = false
    for (const sealed of message.certificates) {
      const { kind } = community.chain.offer(sealed)
      refused = kind === 'refused'
      if (refused || kind === 'gap') break
      read++
      if (kind !== 'known') stored++
    }
    if (stored > 0) this.#parts.onDecided(community)
    const theirs = chains.heads.get(topicName)
    if (theirs === undefined) return
    const at = message.from + read
    if (refused) this.#otherBranch(peer, topicName, community, { from: message.from, at, stored })
    else if (stored > 0) this.#askForMore(peer, topicName, community)
    // On the way to where the chains part.
    else if (read > 0 && at < theirs.length) {
      peer.send(() => ({ type: 'want-certificates/1', topic: community.topic, from: at }))
    }
  }

  /** The certificate at position `at` does not follow here: theirs is another chain from there on, or from before. */
  #otherBranch(
    peer: ExchangePeer,
    topicName: string,
    community: KnownCommunity,
    { from, at, stored }: { readonly from: number; readonly at: number; readonly stored: number },
  ): void {
    const chains = this.#of(peer)
    const theirs = chains.heads.get(topicName)!
    if (community.chain.certificates(at)[0]?.decision.electorate === 'members') {
      // All members outranked the admins, and they haven't heard: of a shorter chain than theirs they ask for nothing.
      peer.send(() => certificatesFrom(community, at))
    } else if (from > 0 && this.#mayAskWhole(chains, topicName, theirs.head)) {
      peer.send(() => ({ type: 'want-certificates/1', topic: community.topic, from: 0 }))
    } else if (from === 0 && stored === 0 && theirs.length > community.chain.length) {
      throw new MeshError('malformed', 'This peer sends certificates that do not hold.')
    }
  }

  #of(peer: ExchangePeer): PeerChains {
    let chains = this.#peers.get(peer)
    if (chains === undefined) {
      chains = { asked: new Map(), askedWhole: new Map(), heads: new Map() }
      this.#peers.set(peer, chains)
    }
    return chains
  }
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
