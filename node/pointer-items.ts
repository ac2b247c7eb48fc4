// What nodes of the DHT answered when they were asked for a pointer: anybody may have put anything there.
import { bytesEqual, isMeshError, limits } from '../protocol/index.ts'
import type { MutableItem } from '../protocol/index.ts'

export interface ReadItem<T> {
  readonly item: MutableItem
  readonly value: T
}

/** Items that are what was asked for and can be read (`read` checks the signature), the highest sequence number first. */
export function readableItems<T>(
  items: readonly MutableItem[],
  publicKey: Uint8Array,
  salt: Uint8Array,
  read: (item: MutableItem) => T,
): ReadItem<T>[] {
  const readable = items.flatMap((item) => {
    const asked = bytesEqual(item.publicKey, publicKey) && bytesEqual(item.salt, salt)
    if (!asked || item.value.length > limits.pointerMaxBytes) return []
    try {
      return [{ item, value: read(item) }]
    } catch (error) {
      if (isMeshError(error)) return []
      throw error
    }
  })
  return readable.toSorted((a, b) => b.item.seq - a.item.seq)
}
