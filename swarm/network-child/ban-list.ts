// Peers that sent bytes that were not what they promised. Bounded: the one banned longest ago is forgotten first.
import type { PeerName } from './messages.ts'

const bannedMax = 10_000

export class BanList {
  readonly #banned = new Map<string, PeerName>()

  add(peer: PeerName): void {
    this.#banned.delete(key(peer))
    this.#banned.set(key(peer), peer)
    if (this.#banned.size > bannedMax) this.#banned.delete(this.#banned.keys().next().value!)
  }

  has(peer: PeerName): boolean {
    return this.#banned.has(key(peer))
  }

  list(): PeerName[] {
    return [...this.#banned.values()]
  }
}

/** A home has one address and any number of ports, so a TCP peer is banned with its address; on loopback each port is another node. */
function key({ kind, id }: PeerName): string {
  if (kind === 'noise') return `noise ${id}`
  // Where both kinds of addresses are listened on, those of version 4 come dressed as version 6.
  const address = id.replace(/^::ffff:/, '')
  const host = address.slice(0, address.lastIndexOf(':'))
  return `tcp ${host.startsWith('127.') || host === '::1' ? address : host}`
}
