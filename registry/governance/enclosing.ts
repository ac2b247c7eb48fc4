// Finds the whole records behind what was heard, to put them into decisions and certificates.
import { decodeCanonical, encloseRecord, toHex, verifyRecord } from '../../protocol/index.ts'
import type { EnclosedRecord, VerifiedRecord } from '../../protocol/index.ts'
import type { Said } from '../fold-community.ts'
import type { LogKey } from '../log-key.ts'
import type { LogStore } from '../log-store.ts'

/** Enough for what a large community has open at a time. */
const remembered = 1_024

export class Enclosing {
  readonly #store: LogStore
  readonly #scope: string
  /** By record id in hex. A delegate looks at the same ballots with every record that comes. */
  readonly #enclosed = new Map<string, EnclosedRecord>()

  constructor(store: LogStore, scope: string) {
    this.#store = store
    this.#scope = scope
  }

  record(said: Said): VerifiedRecord {
    return this.#at(this.#keyOf(said), said.index)
  }

  enclosed(said: Said): EnclosedRecord {
    const name = toHex(said.id)
    let enclosed = this.#enclosed.get(name)
    if (enclosed === undefined) {
      if (this.#enclosed.size >= remembered) this.#enclosed.clear()
      this.#enclosed.set(name, (enclosed = this.#enclose(said)))
    }
    return enclosed
  }

  #enclose(said: Said): EnclosedRecord {
    const opening = decodeCanonical(this.#at(this.#keyOf(said), 0).body)
    const certificate = typeof opening === 'object' && 'certificate' in opening ? opening.certificate : undefined
    if (!(certificate instanceof Uint8Array)) throw new Error('a log without its opening')
    return encloseRecord(this.record(said), certificate)
  }

  #keyOf({ author, device }: Said): LogKey {
    return { scope: this.#scope, author, device }
  }

  #at(key: LogKey, index: number): VerifiedRecord {
    const [record] = this.#store.records(key, index, index + 1)
    if (record === undefined) throw new Error('a record that was heard is gone')
    return verifyRecord(record)
  }
}
