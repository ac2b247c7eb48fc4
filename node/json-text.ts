// JSON as this node prints and serves it: byte strings become lower-case hex, everything else is as usual.
import { toHex } from '../protocol/index.ts'

export function jsonText(value: unknown): string {
  return JSON.stringify(withHex(value))
}

function withHex(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(withHex)
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withHex(item)]))
}
