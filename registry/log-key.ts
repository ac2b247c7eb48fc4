// What names a log: who writes it, on which device, for whom.
import { toHex } from '../protocol/index.ts'
import type { Scope } from '../protocol/index.ts'

export interface LogKey {
  readonly scope: Scope
  /** Identity, 32 bytes. */
  readonly author: Uint8Array
  /** Device key, 32 bytes. */
  readonly device: Uint8Array
}

/** One text per log, to index by. */
export function logKeyText(key: LogKey): string {
  return `${key.scope}/${toHex(key.author)}/${toHex(key.device)}`
}

export function logKeyOf(key: LogKey): LogKey {
  return { scope: key.scope, author: key.author, device: key.device }
}
