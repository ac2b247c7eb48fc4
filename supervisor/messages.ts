// What crosses the process border, and how an error does: as code, message and details, never as an object with a stack of ours.
// The parent treats a child as possibly taken over: an unknown message, an unknown id or an unknown error code is harmless.
import { errorCodes, MeshError } from '../protocol/index.ts'
import type { ErrorDetails, MeshErrorCode } from '../protocol/index.ts'

export type ToChild =
  | { readonly kind: 'request'; readonly id: number; readonly type: string; readonly payload: unknown }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'ping' }
  | { readonly kind: 'stop' }

export type FromChild =
  | { readonly kind: 'ready' }
  | { readonly kind: 'pong' }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: WireError }
  | { readonly kind: 'request-event'; readonly id: number; readonly event: unknown }
  | { readonly kind: 'event'; readonly event: unknown }

export interface WireError {
  /** Absent for a bug (a plain Error). */
  readonly code?: string
  readonly message: string
  readonly details?: ErrorDetails
}

export function isMessage(value: unknown): value is { kind: string; id?: unknown } & Record<string, unknown> {
  return typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string'
}

export function toWireError(error: unknown): WireError {
  if (error instanceof MeshError) return { code: error.code, message: error.message, details: error.details }
  return { message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
}

export function fromWireError(wire: unknown): Error {
  const { code, message, details } = (typeof wire === 'object' && wire !== null ? wire : {}) as Partial<WireError>
  const text = typeof message === 'string' ? message : 'The child process failed without saying why.'
  return isErrorCode(code) ? new MeshError(code, text, details ?? {}) : new Error(text)
}

function isErrorCode(code: unknown): code is MeshErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code)
}
