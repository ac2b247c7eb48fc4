// The release manifest: what a publisher says of one adapter file for one base. Its id names the release for ever.
import semver from 'semver'
import { z } from 'zod'
import { compareBytes } from './bytes.ts'
import { MeshError } from './errors.ts'
import {
  bareName,
  count,
  decodeAs,
  encodeObject,
  hash,
  plainLines,
  plainText,
  publicKey,
  checkAs,
  safeInteger,
  scaleMillionths,
  timeMs,
} from './fields.ts'
import { identityToText } from './identity.ts'
import type { Author } from './identity.ts'
import { limits } from './limits.ts'
import { openSealed, seal, sealedPayload } from './sealed.ts'
import { taggedId } from './signing.ts'

const version = z
  .string()
  .max(limits.versionMaxChars)
  .refine((text) => semver.valid(text) === text, 'must be a semantic version such as 1.0.0')

const range = z
  .string()
  .max(limits.versionMaxChars)
  .refine((text) => semver.validRange(text) !== null, 'must be a version range such as ^1.2')

const capability = z.strictObject({ name: bareName, description: plainText(limits.descriptionMaxChars) })

/** Mean negative log-likelihoods per token (natural log) on one token sequence, times 1,000,000. Tokens 2..n are predicted. */
const probeItem = z.strictObject({
  tokens: z.array(count.max(0xffff_ffff)).min(2).max(limits.probeTokensMax),
  baseNll: count,
  adapterNll: count,
})

const evaluation = z.strictObject({
  suite: hash,
  metric: bareName,
  value: safeInteger,
  baseValue: safeInteger,
  n: count.min(1),
  standardError: count,
})

export const targetName = z
  .string()
  .max(limits.nameMaxChars)
  .regex(/^[a-z0-9_]+$/, 'must be a tensor name such as attn_q')

export const manifestSchema = z.strictObject({
  schema: z.literal(1),
  name: bareName,
  version,
  publisher: publicKey,
  base: z.strictObject({
    id: hash,
    tokenizer: hash,
    label: plainText(limits.labelMaxChars),
    evaluatedOn: z.array(hash).max(limits.evaluatedOnMax),
  }),
  summary: plainText(limits.summaryMaxChars),
  capabilities: z.array(capability).min(1).max(limits.capabilitiesMax),
  tags: z.array(bareName.max(limits.tagMaxChars)).max(limits.tagsMax),
  licence: plainText(limits.licenceMaxChars).min(1),
  requires: z.array(z.strictObject({ publisher: publicKey.optional(), name: bareName, range })).max(limits.requiresMax),
  adapter: z.strictObject({
    bytes: count.min(1).max(limits.adapterMaxBytes),
    sha256: hash,
    /** The largest rank of any tensor pair. */
    rank: z.int().min(1).max(limits.rankMax),
    /** llama.cpp's adapter.lora.alpha, times 1,000,000; 0 means that the scale is folded into the matrices. */
    alpha: count,
    targets: z.array(targetName).min(1).max(limits.targetsMax),
    dtype: z.enum(['F32', 'F16', 'BF16', 'Q8_0']),
  }),
  use: z.strictObject({
    scale: scaleMillionths,
    scaleRange: z.tuple([scaleMillionths, scaleMillionths]),
    systemPrompt: plainLines(limits.systemPromptMaxChars).optional(),
    trigger: plainText(limits.nameMaxChars).optional(),
  }),
  probe: z.array(probeItem).length(limits.probeSequences),
  evaluations: z.array(evaluation).max(limits.evaluationsMax),
  lineage: z.strictObject({
    method: z.enum(['trained', 'fused', 'imported']),
    parents: z.array(z.strictObject({ release: hash, scale: scaleMillionths })).max(limits.parentsMax),
    data: hash.optional(),
    recipe: plainText(limits.descriptionMaxChars).optional(),
    rngSeed: count.optional(),
    /** epsilon and delta times 1,000,000 and 10^12. */
    privacy: z.strictObject({ epsilon: count, delta: count }).optional(),
  }),
  createdAt: timeMs,
})

export type Manifest = z.infer<typeof manifestSchema>

/** Canonical bytes of a manifest. Throws `manifest-invalid` with the field that is wrong. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = encodeObject(checkAs('manifest', manifestSchema, manifest, 'manifest-invalid'))
  decodeManifest(bytes)
  return bytes
}

/** Throws `manifest-invalid`, `too-large` or a decoding error. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const manifest = decodeAs('manifest', manifestSchema, bytes, limits.manifestMaxBytes, 'manifest-invalid')
  const [least, most] = manifest.use.scaleRange
  if (least > manifest.use.scale || manifest.use.scale > most) {
    throw new MeshError('manifest-invalid', 'This manifest is not valid: use.scale lies outside use.scaleRange.', {
      field: 'use.scale',
    })
  }
  requireSorted('adapter.targets', manifest.adapter.targets)
  requireSorted('tags', manifest.tags)
  return manifest
}

/** The release id: 32 bytes, over the manifest's canonical bytes (not over its signature). */
export function releaseId(manifestBytes: Uint8Array): Uint8Array {
  return taggedId('release', manifestBytes)
}

/** A manifest whose signature has been checked, and the id that names the release. */
export interface SignedManifest {
  readonly manifest: Manifest
  /** 32 bytes. */
  readonly releaseId: Uint8Array
  /** The sealed bytes: the file `manifest` of the release torrent. */
  readonly sealed: Uint8Array
}

/** Signs a manifest. Throws `manifest-invalid` when `publisher` is not the author. */
export function signManifest(manifest: Manifest, author: Author): SignedManifest {
  const bytes = encodeManifest(manifest)
  return openManifest(seal('manifest', bytes, author))
}

/** Throws `bad-signature`, `bad-certificate`, `manifest-invalid` or a decoding error. */
export function openManifest(sealed: Uint8Array): SignedManifest {
  const opened = openSealed('manifest', sealed)
  const manifest = decodeManifest(opened.payload)
  if (compareBytes(manifest.publisher, opened.identity) !== 0) {
    throw new MeshError('bad-signature', 'This manifest names another publisher than the one who signed it.', {
      publisher: identityToText(manifest.publisher),
      signer: identityToText(opened.identity),
    })
  }
  return { manifest, releaseId: releaseId(opened.payload), sealed }
}

/** The release that these bytes are about, whoever signed them. Throws a decoding error. */
export function sealedReleaseId(sealed: Uint8Array): Uint8Array {
  return releaseId(sealedPayload('manifest', sealed))
}

function requireSorted(field: string, items: readonly string[]): void {
  for (const [i, item] of items.entries()) {
    if (i > 0 && items[i - 1]! >= item) {
      throw new MeshError(
        'manifest-invalid',
        `This manifest is not valid: ${field} must be sorted and without repeats.`,
        { field },
      )
    }
  }
}
