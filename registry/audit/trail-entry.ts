// One line of the audit trail: something that somebody signed, or a decision of the community.
import type { OpenedCertificate } from '../../protocol/index.ts'
import type { RecordEffect } from '../record-effects.ts'

/** Why a record that is there does not count. */
export type TrailMark =
  /** Its author signed two records at `forkedAt`: from there on its log is void. `index` is that of this record. */
  | { readonly kind: 'void'; readonly forkedAt: number }
  /** A ballot that was here in time and is not in the certificate. */
  | { readonly kind: 'left-out'; readonly certificate: Uint8Array }

export interface RecordEntry {
  readonly kind: 'record'
  /** Record id. */
  readonly id: Uint8Array
  readonly author: Uint8Array
  readonly device: Uint8Array
  readonly scope: string
  readonly index: number
  /** As its author states it, in milliseconds since 1970. */
  readonly time: number
  /** Such as `ballot/1`. */
  readonly type: string
  /** What it means, or would mean if it were not void. */
  readonly effect: RecordEffect
  readonly mark?: TrailMark
}

export interface CertificateEntry {
  readonly kind: 'certificate'
  readonly id: Uint8Array
  /** The latest that one of its signers states. */
  readonly time: number
  readonly certificate: OpenedCertificate
  /** How many delegates there were. */
  readonly delegates: number
}

export type TrailEntry = RecordEntry | CertificateEntry

/** Of a record's type without its version: `ballot`. */
export function trailType(entry: TrailEntry): string {
  return entry.kind === 'certificate' ? 'certificate' : entry.type.replace(/\/.*$/, '')
}

/** What delegates say to each other until they agree: many, and without meaning for anybody else. */
export function isStep(entry: TrailEntry): boolean {
  return ['round', 'prevote', 'precommit'].includes(trailType(entry))
}

/** All that a trail can be asked for by type. */
export const trailTypes = [
  'log',
  'release',
  'withdrawal',
  'patch',
  'job',
  'proposal',
  'ballot',
  'comment',
  'suite',
  'evaluation',
  'invite',
  'join',
  'leave',
  'round',
  'prevote',
  'precommit',
  'certificate',
] as const
