// The lines of an exported log. Each has exactly one spelling: it is written again from what was read and compared, so that no changed
// character means the same as before.
import { z } from 'zod'
import {
  checkAs,
  encodeObject,
  identityFromText,
  limits,
  MeshError,
  signBytes,
  toHex,
  verifyBytes,
  verifyDeviceCertificate,
} from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'

export const logFormat = 'lora-mesh-log/1'

const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits')
const base64 = z.base64().transform((text): Uint8Array => new Uint8Array(Buffer.from(text, 'base64')))
const record = { envelope: base64, body: base64 }

const lineSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('log'),
    format: z.literal(logFormat),
    /** Its id. */
    community: hex32,
    /** Sealed. */
    genesis: base64,
    /** Identity. */
    exportedBy: z.string().max(64),
    at: z.iso.datetime(),
  }),
  z.strictObject({ kind: z.literal('record'), ...record }),
  /** The other record that the author of the log before signed at one position of it. */
  z.strictObject({ kind: z.literal('fork'), ...record }),
  z.strictObject({ kind: z.literal('certificate'), sealed: base64 }),
  z.strictObject({
    kind: z.literal('end'),
    /** Before this one. */
    lines: z.int().min(1),
    /** SHA-256 of their bytes, line feeds included. */
    digest: hex32,
    /** Of the exporter's device. */
    certificate: base64,
    signature: base64,
  }),
])

export type LogLine = z.infer<typeof lineSchema>
export type LogLineOf<K extends LogLine['kind']> = Extract<LogLine, { kind: K }>

/** The longest is a certificate's, four characters for three bytes. */
export const logLineMaxBytes = Math.ceil(limits.communityCertificateMaxBytes / 3) * 4 + 1_024

export function encodeLine(line: LogLine): string {
  return JSON.stringify(line, (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  )
}

/** Throws `malformed` for what `encodeLine` would not have written. */
export function decodeLine(text: string): LogLine {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new MeshError('malformed', 'This line is not JSON.', {}, { cause })
  }
  const line = checkAs('line', lineSchema, value, 'malformed') as LogLine
  if (encodeLine(line) !== text) throw new MeshError('malformed', 'This line is not written as an export writes it.')
  return line
}

interface Ending {
  readonly community: string
  readonly lines: number
  readonly digest: string
}

export function signEnding({ community, lines, digest }: Ending, author: Author): LogLineOf<'end'> {
  const signature = signBytes('log-export', endingBytes({ community, lines, digest }), author.device.secretKey)
  return { kind: 'end', lines, digest, certificate: author.certificate, signature }
}

/** Throws `bad-certificate` or `bad-signature` unless a device of `exportedBy` signed the ending. */
export function checkEnding(end: LogLineOf<'end'>, community: string, exportedBy: string): void {
  const { identity, device } = verifyDeviceCertificate(end.certificate)
  if (toHex(identity) !== toHex(identityFromText(exportedBy))) {
    throw new MeshError('bad-certificate', 'Somebody else signed it than the first line names.')
  }
  if (!verifyBytes('log-export', endingBytes({ ...end, community }), end.signature, device)) {
    throw new MeshError('bad-signature', 'The signature of this export is wrong.')
  }
}

function endingBytes({ community, lines, digest }: Ending): Uint8Array {
  return encodeObject({ community, lines, digest })
}
