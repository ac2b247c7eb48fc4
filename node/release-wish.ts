// What a publisher says of a release, and the checks of it that need no adapter: they come before the minutes that measuring takes.
import type { z } from 'zod'
import { MeshError, checkAs, fromHex, identityFromText, manifestSchema, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { oneRelease } from './find-release.ts'
import { checkLicence, noLicence } from './licence.ts'

export interface RequirementWish {
  /** Identity text. Absent: whoever the community means by the name. */
  readonly publisher?: string | undefined
  readonly name: string
  readonly range: string
}

export interface PublishWish {
  /** A PEFT folder as training leaves it, or a LoRA GGUF. */
  readonly path: string
  readonly name: string
  readonly version: string
  readonly summary: string
  /** SPDX. Absent: nothing is said. */
  readonly licence?: string | undefined
  /** Absent: one, with the release's own name and summary. */
  readonly capabilities: readonly { readonly name: string; readonly description: string }[]
  readonly tags: readonly string[]
  readonly requires?: readonly RequirementWish[] | undefined
  /** Releases it was made from; see find-release.ts. */
  readonly parents?: readonly string[] | undefined
  /** Strength at run time; 1: as trained. */
  readonly scale: number
  /** How weak and how strong it may be made beside others. Absent: from 0 to twice the scale. */
  readonly scaleRange?: readonly [least: number, most: number] | undefined
  /** A word in a prompt that it was trained to wait for. */
  readonly trigger?: string | undefined
  readonly systemPrompt?: string | undefined
  /** Texts on which it shows what it does; the first eight become public. Absent: samples of what it writes. */
  readonly probe?: readonly string[] | undefined
  /** Files of questions and answers that base and adapter are asked. */
  readonly suites?: readonly string[] | undefined
  /** Publish the last version plus differences of so few bits, or of the fewest that lose nothing on the suites. */
  readonly deltaBits?: DeltaBits | undefined
  /** Absent: the base in use. */
  readonly base?: string | undefined
}

/** 2 to 8. */
export type DeltaBits = number | 'auto'

const factsSchema = manifestSchema.pick({
  name: true,
  version: true,
  summary: true,
  capabilities: true,
  tags: true,
  licence: true,
  requires: true,
})
export type ReleaseFacts = z.infer<typeof factsSchema>

/** Throws `bad-input` with the field. */
export function checkedFacts(wish: PublishWish): ReleaseFacts {
  const { name, version, summary, capabilities, tags, licence = noLicence, requires = [] } = wish
  const facts = checkAs(
    'release',
    factsSchema,
    {
      name,
      version,
      summary,
      capabilities: capabilities.length > 0 ? [...capabilities] : [{ name, description: summary }],
      tags: [...new Set(tags)].toSorted(),
      licence,
      requires: requires.map(requirement),
    },
    'bad-input',
  )
  return { ...facts, licence: checkedLicence(facts.licence) }
}

function requirement({ publisher, name, range }: RequirementWish): ReleaseFacts['requires'][number] {
  return { name, range, ...(publisher === undefined ? {} : { publisher: identityFromText(publisher) }) }
}

function checkedLicence(text: string): string {
  const checked = checkLicence(text)
  if (checked.kind !== 'malformed') return checked.licence
  throw new MeshError(
    'bad-input',
    `"${text}" is no SPDX licence expression: ${checked.reason}. Write one such as MIT, Apache-2.0 or LicenseRef-my-own.`,
    { field: 'licence' },
  )
}

/** Throws `bad-input`. */
export function requireScaleInRange({ scale, scaleRange }: Pick<PublishWish, 'scale' | 'scaleRange'>): void {
  if (scaleRange === undefined || (scaleRange[0] <= scale && scale <= scaleRange[1])) return
  const [least, most] = scaleRange
  throw new MeshError('bad-input', `The scale ${scale} is not between ${least} and ${most}, the range given for it.`, {
    scale,
    scaleRange,
  })
}

/** The base that a release is for. Throws `base-missing`, `not-found`. */
export function baseOf(node: Node, name: string | undefined): KnownBase {
  const base = name === undefined ? node.bases.current() : node.bases.find(name)
  if (base !== undefined) return base
  throw new MeshError(
    'base-missing',
    'A release is for one base: add the base it was trained on with `lora-mesh base add FILE`.',
    { bases: [] },
  )
}

/** Full strength of each: what it went on from. Throws `not-found`, `bad-input`. */
export function parentsOf(node: Node, parents: readonly string[]): Manifest['lineage']['parents'] {
  const known = node.registry.catalogue({ anyPublisher: true })
  // An id says all that is signed: also one that this node has never met.
  const idOf = (text: string): Uint8Array =>
    /^[0-9a-f]{64}$/.test(text) ? fromHex(text) : oneRelease(known, text).releaseId
  const ids = new Map(parents.map(idOf).map((release) => [toHex(release), release]))
  return [...ids.values()].map((release) => ({ release, scale: 1e6 }))
}
