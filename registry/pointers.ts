// The newest BEP 44 pointer seen per publisher, name and base. Whoever shows an older one, by mistake or on purpose, changes nothing.
import { MeshError } from '../protocol/index.ts'
import type { MutableItem } from '../protocol/index.ts'
import { blob, integer } from './database.ts'
import type { Database } from './database.ts'

/** Under which name a pointer is looked up. */
export interface PointerKey {
  /** Identity, 32 bytes. */
  readonly publisher: Uint8Array
  readonly name: string
  readonly baseId: Uint8Array
}

/** A pointer's item without its salt, which follows from the key. */
export type SeenPointer = Pick<MutableItem, 'publicKey' | 'seq' | 'value' | 'signature'>

export class Pointers {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  get({ publisher, name, baseId }: PointerKey): SeenPointer | undefined {
    const row = this.#database.get(
      'SELECT seq, value, signature, device FROM pointers WHERE publisher = ? AND name = ? AND base = ?',
      publisher,
      name,
      baseId,
    )
    return (
      row && {
        publicKey: blob(row, 'device'),
        seq: integer(row, 'seq'),
        value: blob(row, 'value'),
        signature: blob(row, 'signature'),
      }
    )
  }

  /** Keeps a pointer whose signature was checked. Throws `stale` when a higher sequence number was seen before. */
  set({ publisher, name, baseId }: PointerKey, item: SeenPointer): void {
    const { changes } = this.#database.run(
      `INSERT INTO pointers (publisher, name, base, seq, value, signature, device) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (publisher, name, base) DO UPDATE SET
         seq = excluded.seq, value = excluded.value, signature = excluded.signature, device = excluded.device
       WHERE excluded.seq >= pointers.seq`,
      publisher,
      name,
      baseId,
      item.seq,
      item.value,
      item.signature,
      item.publicKey,
    )
    if (changes > 0) return
    throw new MeshError('stale', `This pointer to ${name} is older than one seen before; it was ignored.`, {
      seq: item.seq,
      newest: this.get({ publisher, name, baseId })?.seq,
    })
  }
}
