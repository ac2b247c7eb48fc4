// The one place where an error code becomes an HTTP status and an exit code.
import { MeshError, isMeshError } from '../protocol/index.ts'
import type { Blame, MeshErrorCode } from '../protocol/index.ts'
import { systemError } from './private-file.ts'

interface Mapping {
  readonly status: number
  readonly exit: number
}

// Exit codes: 1 could not be done, 2 refused for its content, 64 wrong usage (sysexits), 130 interrupted (128 + SIGINT).
const byBlame: Readonly<Record<Blame, Mapping>> = {
  caller: { status: 400, exit: 2 },
  peer: { status: 422, exit: 2 },
  publisher: { status: 422, exit: 2 },
  network: { status: 502, exit: 1 },
  self: { status: 500, exit: 1 },
}

const byCode: Partial<Readonly<Record<MeshErrorCode, Mapping>>> = {
  usage: { status: 400, exit: 64 },
  'not-found': { status: 404, exit: 1 },
  'already-exists': { status: 409, exit: 1 },
  'data-folder-in-use': { status: 409, exit: 1 },
  'not-initialised': { status: 409, exit: 1 },
  'bad-config': { status: 409, exit: 1 },
  'bad-passphrase': { status: 403, exit: 1 },
  unauthorised: { status: 401, exit: 1 },
  aborted: { status: 499, exit: 130 },
  'too-large': { status: 413, exit: 2 },
  'base-missing': { status: 409, exit: 2 },
  'nothing-found': { status: 404, exit: 2 },
  'version-taken': { status: 409, exit: 2 },
  unsatisfiable: { status: 409, exit: 2 },
  timeout: { status: 504, exit: 1 },
  'disk-full': { status: 507, exit: 1 },
  'child-crashed': { status: 503, exit: 1 },
  'wrong-host': { status: 421, exit: 1 },
  'wrong-origin': { status: 403, exit: 1 },
  'not-json': { status: 415, exit: 1 },
  'wrong-method': { status: 405, exit: 1 },
  'rate-limited': { status: 429, exit: 1 },
  stopping: { status: 503, exit: 1 },
}

export interface ErrorBody {
  readonly code: MeshErrorCode | 'internal'
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** Itself if it is a refusal already; what the system refused becomes one; undefined for a bug. */
export function refusalOf(error: unknown): MeshError | undefined {
  return isMeshError(error) ? error : systemError(error)
}

export function httpStatus(error: unknown): number {
  const refusal = refusalOf(error)
  return refusal === undefined ? 500 : mapping(refusal.code).status
}

export function exitCode(error: unknown): number {
  const refusal = refusalOf(error)
  return refusal === undefined ? 1 : mapping(refusal.code).exit
}

/** What callers are told. A bug shows its message but no stack: that goes to the node's own log. */
export function errorBody(error: unknown): ErrorBody {
  const refusal = refusalOf(error)
  if (refusal !== undefined) return { code: refusal.code, message: refusal.message, details: refusal.details }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'internal', message: `This is a bug in lora-mesh: ${message}`, details: {} }
}

function mapping(code: MeshErrorCode): Mapping {
  return byCode[code] ?? byBlame[new MeshError(code, '').blame]
}
