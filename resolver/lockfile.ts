// The lockfile: a persona written down exactly, so that anyone can have the same one. Its digest names the persona.
import { z } from 'zod'
import {
  bytesEqual,
  checkAs,
  decodeCanonical,
  encodeCanonical,
  limits,
  MeshError,
  plainLines,
  plainText,
  taggedId,
  toHex,
  utf8,
} from '../protocol/index.ts'
import type { Canonical } from '../protocol/index.ts'
import { byText } from './cover.ts'
import { facetsMax } from './facets.ts'
import type { Plan } from './plan.ts'

const hex = (bytes: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `must be ${bytes * 2} lower-case hex digits`)
const bareName = z
  .string()
  .max(limits.nameMaxChars)
  .regex(/^[a-z0-9]+(?:[-_.][a-z0-9]+)*$/, 'must be a bare name such as protein-folding')
const facetText = plainText(limits.descriptionMaxChars).min(1)
/** Most releases of one persona. */
const releasesMax = 64

const lockedReleaseSchema = z.strictObject({
  name: bareName,
  version: plainText(limits.versionMaxChars).min(1),
  /** Identity text. */
  publisher: z.string().regex(/^[a-z2-7]{52}$/, 'must be an identity of 52 characters'),
  releaseId: hex(32),
  /** Of the adapter file. */
  sha256: hex(32),
  bytes: z.int().min(1).max(limits.adapterMaxBytes),
  infohash: hex(20),
  /** Strength at run time, times 1,000,000. */
  scale: z.int().min(-limits.scaleMaxMillionths).max(limits.scaleMaxMillionths),
  capability: bareName,
  /** What of the request it answers; empty for a release that others require. */
  facets: z.array(facetText).max(facetsMax),
  /** Names of the releases that require it. */
  requiredBy: z.array(bareName).max(releasesMax),
})

export const lockfileSchema = z.strictObject({
  format: z.literal('lora-mesh-lockfile/1'),
  base: z.strictObject({
    id: hex(32),
    label: plainText(limits.labelMaxChars),
    /** SHA-256 of the base file it was made with, where it shall be that very file. */
    file: hex(32).optional(),
  }),
  releases: z.array(lockedReleaseSchema).max(releasesMax),
  mode: z.enum(['stack', 'route']),
  systemPrompt: plainLines(limits.systemPromptMaxChars).optional(),
  gaps: z.array(z.strictObject({ facet: facetText, capability: bareName })).max(facetsMax),
})

export type Lockfile = z.infer<typeof lockfileSchema>
export type LockedRelease = Lockfile['releases'][number]

/** What a plan doesn't know of a release: where its bytes are and how strongly it is applied. */
export interface LockDetails {
  readonly publisher: string
  readonly sha256: string
  readonly bytes: number
  readonly infohash: string
  /** Millionths. */
  readonly scale: number
  /** The capability a release is locked under when it only is required by others. */
  readonly capability: string
}

export interface LockInput {
  readonly plan: Plan
  readonly base: Lockfile['base']
  /** For every release id of the plan. */
  readonly details: ReadonlyMap<string, LockDetails>
  readonly systemPrompt?: string
}

/**
 * Freezes a plan: no ranges, no dates, nothing but what the persona is made of, so that the same inputs give the same bytes.
 * The request itself stays out of it: lockfiles are passed on. Throws `bad-input` when a detail isn't valid.
 */
export function createLockfile({ plan, base, details, systemPrompt }: LockInput): Lockfile {
  const releases = plan.releases.map((planned): LockedRelease => {
    const known = details.get(planned.release)
    if (known === undefined) throw new Error(`no details for release ${planned.release}`)
    const matches = plan.matches.filter(({ release }) => release === planned.release)
    const { publisher, sha256, bytes, infohash, scale, capability } = known
    return {
      name: planned.name,
      version: planned.version,
      publisher,
      releaseId: planned.release,
      sha256,
      bytes,
      infohash,
      scale,
      capability: matches[0]?.capability ?? capability,
      facets: [...new Set(matches.map(({ facet }) => facet))].toSorted(byText),
      requiredBy: [...planned.requiredBy],
    }
  })
  return normalised({
    format: 'lora-mesh-lockfile/1',
    base,
    releases,
    mode: plan.mode,
    ...(systemPrompt === undefined ? {} : { systemPrompt }),
    gaps: plan.gaps.map(({ facet, capability }) => ({ facet, capability })),
  })
}

/** Checked, with every list in its one order. */
function normalised(value: unknown): Lockfile {
  const lockfile = checkAs('lockfile', lockfileSchema, value, 'bad-input')
  return {
    ...lockfile,
    releases: lockfile.releases.toSorted((a, b) => byText(a.name, b.name) || byText(a.releaseId, b.releaseId)),
    gaps: lockfile.gaps.toSorted((a, b) => byText(a.facet, b.facet)),
  }
}

/** The canonical encoding, which is what the digest is taken of and what nodes hand to each other. */
export function encodeLockfile(lockfile: Lockfile): Uint8Array {
  // The schema admits strings, integers, lists and maps only, and leaves absent keys out.
  return encodeCanonical(normalised(lockfile) as unknown as Canonical)
}

/** Accepts only what `encodeLockfile` writes. Throws `too-large`, `bad-input`, `not-canonical` or another decoding error. */
export function decodeLockfile(bytes: Uint8Array): Lockfile {
  if (bytes.length > limits.sharedLockfileMaxBytes) throw tooLarge(limits.sharedLockfileMaxBytes)
  const lockfile = normalised(decodeCanonical(bytes))
  if (!bytesEqual(encodeLockfile(lockfile), bytes))
    throw new MeshError('not-canonical', 'The lists of this lockfile are not in their one order.')
  // It shall be kept as a file, which is somewhat larger.
  if (utf8(lockfileText(lockfile)).length > limits.lockfileMaxBytes) throw tooLarge(limits.lockfileMaxBytes)
  return lockfile
}

/** 32 bytes over the canonical encoding; the order of keys and white space of a file don't count. */
export function lockfileDigest(lockfile: Lockfile): Uint8Array {
  return taggedId('lockfile', encodeLockfile(lockfile))
}

/** First 12 hex digits of the digest. */
export function personaIdOf(lockfile: Lockfile): string {
  return toHex(lockfileDigest(lockfile)).slice(0, 12)
}

/** The file, byte for byte the same for the same lockfile. */
export function lockfileText(lockfile: Lockfile): string {
  return `${JSON.stringify(normalised(lockfile), null, 2)}\n`
}

/** Throws `too-large` or `bad-input` with the field that is wrong. */
export function parseLockfile(text: string): Lockfile {
  if (utf8(text).length > limits.lockfileMaxBytes) throw tooLarge(limits.lockfileMaxBytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new MeshError(
      'bad-input',
      'This lockfile is not JSON: it was cut or edited. Create it again with `lora-mesh lock`.',
      {},
      { cause },
    )
  }
  return normalised(value)
}

function tooLarge(maxBytes: number): MeshError {
  return new MeshError('too-large', `This lockfile is larger than ${maxBytes} bytes.`)
}
