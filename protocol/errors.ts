// Every refusal a user, a peer or a script can meet has one code here; HTTP status and exit codes are derived from it in node/.
// Bugs are plain `Error`s and have no code.

/** Whose doing a failure is: decides whether a peer is penalised and what the user is told to do. */
export type Blame = 'caller' | 'peer' | 'publisher' | 'network' | 'self'

interface CodeFacts {
  readonly blame: Blame
  /** Whether the same call may succeed later without anything being changed. */
  readonly retry: boolean
}

/** Code -> who is to blame, and whether a retry helps. The union `MeshErrorCode` is closed over its keys. */
export const errorCodes = {
  // Usage and local state
  usage: { blame: 'caller', retry: false },
  'not-found': { blame: 'caller', retry: false },
  'already-exists': { blame: 'caller', retry: false },
  'data-folder-in-use': { blame: 'caller', retry: true },
  'not-initialised': { blame: 'caller', retry: false },
  'bad-config': { blame: 'caller', retry: false },
  'bad-passphrase': { blame: 'caller', retry: false },
  unauthorised: { blame: 'caller', retry: false },
  aborted: { blame: 'caller', retry: true },
  'bad-input': { blame: 'caller', retry: false },
  // The local HTTP port
  'not-json': { blame: 'caller', retry: false },
  'rate-limited': { blame: 'caller', retry: true },
  stopping: { blame: 'self', retry: true },
  'wrong-host': { blame: 'caller', retry: false },
  'wrong-method': { blame: 'caller', retry: false },
  'wrong-origin': { blame: 'caller', retry: false },
  // Encoding, signatures, records
  'not-canonical': { blame: 'peer', retry: false },
  malformed: { blame: 'peer', retry: false },
  'too-large': { blame: 'peer', retry: false },
  'bad-signature': { blame: 'peer', retry: false },
  'bad-certificate': { blame: 'peer', retry: false },
  'chain-broken': { blame: 'peer', retry: false },
  equivocation: { blame: 'peer', retry: false },
  'version-mismatch': { blame: 'peer', retry: false },
  'quota-exceeded': { blame: 'peer', retry: false },
  // Model files
  'gguf-malformed': { blame: 'publisher', retry: false },
  'gguf-refused': { blame: 'publisher', retry: false },
  'safetensors-malformed': { blame: 'publisher', retry: false },
  'peft-unsupported': { blame: 'publisher', retry: false },
  'architecture-not-supported': { blame: 'publisher', retry: false },
  'architecture-mismatch': { blame: 'publisher', retry: false },
  'shape-mismatch': { blame: 'publisher', retry: false },
  'not-finite': { blame: 'publisher', retry: false },
  'rank-limit': { blame: 'caller', retry: false },
  // Releases
  'base-missing': { blame: 'caller', retry: false },
  'base-mismatch': { blame: 'publisher', retry: false },
  'tokenizer-mismatch': { blame: 'publisher', retry: false },
  'probe-failed': { blame: 'publisher', retry: false },
  'manifest-invalid': { blame: 'publisher', retry: false },
  'manifest-mismatch': { blame: 'publisher', retry: false },
  'hash-mismatch': { blame: 'peer', retry: true },
  'piece-mismatch': { blame: 'peer', retry: true },
  'version-taken': { blame: 'caller', retry: false },
  stale: { blame: 'network', retry: true },
  // Network and storage
  'no-seeder': { blame: 'network', retry: true },
  'not-reachable': { blame: 'network', retry: true },
  timeout: { blame: 'network', retry: true },
  'disk-full': { blame: 'self', retry: true },
  'storage-failed': { blame: 'self', retry: true },
  // Child processes
  'child-crashed': { blame: 'self', retry: true },
  quarantined: { blame: 'publisher', retry: false },
  'engine-failed': { blame: 'self', retry: true },
  // Resolving
  'nothing-found': { blame: 'caller', retry: true },
  unsatisfiable: { blame: 'caller', retry: false },
  'too-hard': { blame: 'publisher', retry: false },
} as const satisfies Record<string, CodeFacts>

export type MeshErrorCode = keyof typeof errorCodes

export type ErrorDetails = Readonly<Record<string, unknown>>

/** The one error type that crosses a boundary. `message` is a sentence for people and says what to do next where that is known. */
export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: MeshErrorCode
  readonly details: ErrorDetails

  constructor(code: MeshErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.details = details
  }

  get blame(): Blame {
    return errorCodes[this.code].blame
  }

  get retry(): boolean {
    return errorCodes[this.code].retry
  }

  toJSON(): { code: MeshErrorCode; message: string; details: ErrorDetails } {
    return { code: this.code, message: this.message, details: this.details }
  }
}

export function isMeshError(value: unknown, code?: MeshErrorCode): value is MeshError {
  return value instanceof MeshError && (code === undefined || value.code === code)
}
