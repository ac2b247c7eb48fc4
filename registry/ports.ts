// What the registry needs from outside: a network of exchange streams, who serves which torrent, a clock, random bytes.

/**
 * A way to meet peers and exchange frames with them. Implementations: `memory-exchange.ts` (in this process) and Hyperswarm; both pass
 * `exchange-network.contract.ts`.
 */
export interface ExchangeNetwork extends AsyncDisposable {
  /**
   * Meets others on a 32-byte topic until the returned object is disposed of (twice is fine). Resolves once this node can be found;
   * nobody need be there. The signal bounds the waiting only: `aborted`.
   */
  join(topic: Uint8Array, signal?: AbortSignal): Promise<AsyncDisposable>
  /** Calls back once for every peer connected from now on, whatever the topic. Returns what ends that. */
  onPeer(listener: (peer: PeerChannel) => void): () => void
  /** Public key, 32 bytes, where this node serves the BitTorrent wire. Rejects where it serves none. */
  readonly transferKey: Promise<Uint8Array>
}

/** One connection to one peer. */
export interface PeerChannel {
  /** Names the peer at the other end as long as its process lives; not its identity. */
  readonly id: string
  /**
   * Resolves when there is room for more, so that a slow peer slows its sender and not the memory. Rejects with `too-large` for a
   * frame over `limits.frameMaxBytes` (nothing is sent, the channel stays) and with `not-reachable` once closed.
   */
  send(frame: Uint8Array): Promise<void>
  /** Whole frames in the order they were sent, to be read once. Ends, without an error, when the channel closes for whatever reason. */
  readonly frames: AsyncIterable<Uint8Array>
  /** The reason is for this node's own records; a peer is told by a `goodbye` frame. Closing twice is fine. */
  close(reason: string): void
  readonly closed: Promise<void>
}

/** Whether this node serves the torrent with this infohash (20 bytes). */
export type ServesTorrent = (infohash: Uint8Array) => boolean

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls back once after `delayMs`; returns what cancels that. Never keeps the process alive. */
  schedule(delayMs: number, task: () => void): () => void
}

/** `length` unpredictable bytes. */
export type RandomBytes = (length: number) => Uint8Array
