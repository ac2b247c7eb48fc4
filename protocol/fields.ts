// The small types that signed objects and wire messages are made of, and how a decoded object is checked against its schema.
import { z } from 'zod'
import { decodeCanonical, encodeCanonical } from './canonical.ts'
import type { Canonical } from './canonical.ts'
import { MeshError } from './errors.ts'
import type { MeshErrorCode } from './errors.ts'
import { limits, maxTimeMs } from './limits.ts'

/** A byte string of exactly `length` bytes. */
export const fixedBytes = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length, `must be ${length} bytes`)

/** A byte string of 1 to `max` bytes. */
export const someBytes = (max: number) =>
  z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length > 0 && value.length <= max,
    `must be 1 to ${max} bytes`,
  )

// Control, bidirectional, zero-width and other invisible characters: text from peers is shown to people.
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u

/** Plain text of at most `max` characters without control, bidirectional or zero-width characters. */
export const plainText = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !invisible.test(text), 'must be plain text without control or invisible characters')

/** Like `plainText`, but line feeds are allowed. */
export const plainLines = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !invisible.test(text.replaceAll('\n', '')), 'must be plain text without control characters')

export const hash = fixedBytes(32)
export const publicKey = fixedBytes(32)
export const signature = fixedBytes(64)
export const infohash = fixedBytes(20)
export const safeInteger = z.int()
export const count = z.int().min(0)
export const timeMs = z.int().min(0).max(maxTimeMs)
/** A factor times 1,000,000, so that no float is ever signed. */
export const scaleMillionths = z.int().min(-limits.scaleMaxMillionths).max(limits.scaleMaxMillionths)
/** Bare names of capabilities and releases: `protein-folding`, `shakespeare`, `peft_3`. */
export const bareName = z
  .string()
  .max(limits.nameMaxChars)
  .regex(/^[a-z0-9]+(?:[-_.][a-z0-9]+)*$/, 'must be lower-case letters and digits, joined by single "-", "_" or "."')

/**
 * Decodes canonical bytes into what `schema` describes. Throws `too-large`, `malformed`, `not-canonical`, or `code` with the
 * path and reason of the first mismatch.
 */
export function decodeAs<T>(
  what: string,
  schema: z.ZodType<T>,
  bytes: Uint8Array,
  maxBytes: number,
  code: MeshErrorCode,
): T {
  if (bytes.length > maxBytes) {
    throw new MeshError('too-large', `This ${what} has ${bytes.length} bytes; at most ${maxBytes} are allowed.`)
  }
  return checkAs(what, schema, decodeCanonical(bytes), code)
}

/** Checks a value against a schema; the error names the field. */
export function checkAs<T>(what: string, schema: z.ZodType<T>, value: unknown, code: MeshErrorCode): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = issue?.path.join('.') || '(the whole object)'
  throw new MeshError(code, `This ${what} is not valid: ${field}: ${issue?.message ?? 'unknown problem'}.`, { field })
}

/** Drops `undefined` properties, which have no canonical form, and encodes. */
export function encodeObject(value: object): Uint8Array {
  return encodeCanonical(withoutUndefined(value) as Canonical)
}

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutUndefined(item)]))
}
