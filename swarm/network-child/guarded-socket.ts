// A UDP socket that hands on only checked DHT packets: it stands where the library expects a plain dgram socket.
import { createSocket, type RemoteInfo } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { isIP } from 'node:net'
import { checkPacket } from './packet-check.ts'

export interface QueryRate {
  /** Queries a second that one address may make on average, and at once. Loopback addresses are not limited. */
  readonly perSecond: number
  readonly burst: number
}

const addressesMax = 4_096

export class GuardedSocket extends EventEmitter {
  readonly #socket = createSocket('udp4')
  readonly #budgets = new Map<string, { tokens: number; atMs: number }>()
  readonly #rate: QueryRate
  readonly #nowMs: () => number
  readonly dropped = new Map<string, number>()

  constructor(rate: QueryRate, nowMs: () => number) {
    super()
    this.#rate = rate
    this.#nowMs = nowMs
    this.#socket.on('message', (packet, from) => this.receive(packet, from))
    for (const event of ['listening', 'error', 'close']) {
      this.#socket.on(event, (...details: unknown[]) => this.emit(event, ...details))
    }
  }

  bind(...args: Parameters<ReturnType<typeof createSocket>['bind']>): void {
    this.#socket.bind(...args)
  }

  address(): { address: string; port: number } {
    return this.#socket.address()
  }

  /** The form the library calls. A destination that no packet can be sent to is an error of that packet, not of the process. */
  send(
    packet: Uint8Array,
    offset: number,
    length: number,
    port: number,
    host: string,
    done: (error?: Error) => void,
  ): void {
    if (!(port > 0 && port < 65_536) || isIP(host) !== 4)
      return done(new Error(`no packet can be sent to ${host}:${port}`))
    this.#socket.send(packet, offset, length, port, host, (error) => done(error ?? undefined))
  }

  close(): void {
    this.#socket.close()
  }

  /** What the socket does with each packet that arrives. */
  receive(packet: Uint8Array, from: RemoteInfo): void {
    const verdict = checkPacket(packet)
    if (verdict.kind === 'drop') return this.#drop(verdict.reason)
    // Answers go to whoever the packet claims to be from: without a limit one forged sender could be flooded through us.
    const isQuery = verdict.kind === 'refuse' || verdict.isQuery
    if (isQuery && !this.#mayAsk(from.address)) return this.#drop('too many from one address')
    if (verdict.kind === 'refuse') this.send(verdict.bytes, 0, verdict.bytes.length, from.port, from.address, () => {})
    else this.emit('message', Buffer.from(verdict.bytes), from)
  }

  #drop(reason: string): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1)
  }

  #mayAsk(address: string): boolean {
    if (address.startsWith('127.')) return true
    const nowMs = this.#nowMs()
    const before = this.#budgets.get(address) ?? { tokens: this.#rate.burst, atMs: nowMs }
    const refilled = before.tokens + ((nowMs - before.atMs) / 1_000) * this.#rate.perSecond
    const tokens = Math.min(this.#rate.burst, refilled) - 1
    // Deleting first moves the address to the end: the map's first key is always the one unseen for longest.
    this.#budgets.delete(address)
    this.#budgets.set(address, { tokens: Math.max(tokens, -1), atMs: nowMs })
    if (this.#budgets.size > addressesMax) this.#budgets.delete(this.#budgets.keys().next().value!)
    return tokens >= 0
  }
}
