// What the resolver knows about one release, and the file form of a catalogue for `plan TEXT --catalogue FILE`.
import semver from 'semver'
import { z } from 'zod'
import { checkAs, isMeshError, limits, MeshError, plainText } from '../protocol/index.ts'

/** One release, as far as finding and choosing it goes. Text in it was written by strangers: it is data, matched and shown, never obeyed. */
export interface Card {
  /** What a plan calls the release: the release id in hex for releases of the mesh, `name@version` for cards of a file. */
  readonly id: string
  /** Bare release name. */
  readonly name: string
  /** Semver. */
  readonly version: string
  /** Identity text of the publisher; absent for cards of a file. */
  readonly publisher?: string
  /** Whether the publisher is a member of a community this node follows. Others need `anyPublisher` or a `publisher/name`. */
  readonly member: boolean
  readonly summary: string
  /** At least one. */
  readonly capabilities: readonly CardCapability[]
  readonly tags: readonly string[]
  /** Absent for cards of a file, which fit every base. */
  readonly base?: CardBase
  /** Size of the adapter file. */
  readonly bytes: number
  readonly requires: readonly CardRequirement[]
  /** Why it was withdrawn; such a release is chosen only where a lockfile names it. */
  readonly withdrawn?: string
  /** How far the node trusts the release, from 0 (a newcomer's; the default) to 1. Decides between near equals. */
  readonly trust?: number
}

export interface CardCapability {
  readonly name: string
  readonly description: string
}

export interface CardBase {
  /** Hex. */
  readonly id: string
  readonly label: string
  /** SHA-256 of the base files it was evaluated on, hex. */
  readonly files: readonly string[]
}

/** Another release this one needs beside it. A bare name means the community's, or else the same publisher's. */
export interface CardRequirement {
  readonly publisher?: string
  readonly name: string
  /** Semver range. */
  readonly range: string
}

/** Most cards of one file. */
export const catalogueMaxCards = 10_000
export const catalogueMaxBytes = 64 * 1024 * 1024
const cardTextMaxChars = 8_192

/** Shown in plans: no escape sequences for the terminal. */
const idText = plainText(limits.nameMaxChars * 2).min(1)

const catalogueSchema = z.object({
  cards: z
    .array(
      z.object({
        id: idText,
        text: z.string().max(cardTextMaxChars),
        version: z
          .string()
          .max(limits.versionMaxChars)
          .refine((version) => semver.valid(version) !== null, 'must be a semantic version such as 1.0.0')
          .optional(),
        requires: z
          .record(
            idText,
            z
              .string()
              .max(limits.versionMaxChars)
              .refine((range) => semver.validRange(range) !== null, 'must be a version range such as ^1.2'),
          )
          .refine((requires) => Object.keys(requires).length <= limits.requiresMax, `at most ${limits.requiresMax}`)
          .optional(),
      }),
    )
    .max(catalogueMaxCards),
})

/** Version of a card that names none. */
const unversioned = '0.0.0'

/**
 * Reads a catalogue file's text: `{cards: [{id, text, version?, requires?: {id: range}}]}`. `id` is the capability; several cards
 * may share one when their versions differ, and `id@version` is accepted as one field. Throws `bad-input` with the place.
 */
export function parseCatalogue(json: string): Card[] {
  if (json.length > catalogueMaxBytes) {
    throw new MeshError('bad-input', `This catalogue file is larger than ${catalogueMaxBytes} bytes: split it.`)
  }
  let value: unknown
  try {
    value = JSON.parse(json, refusePrototype)
  } catch (cause) {
    if (isMeshError(cause)) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new MeshError('bad-input', `This catalogue file is not JSON: ${reason}.`, {}, { cause })
  }
  const { cards } = checkAs('catalogue file', catalogueSchema, value, 'bad-input')
  const seen = new Set<string>()
  return cards.map((entry, index) => {
    const split = entry.version === undefined ? splitVersion(entry.id) : undefined
    const name = split?.name ?? entry.id
    const given = split?.version ?? entry.version
    const id = given === undefined ? name : `${name}@${given}`
    if (seen.has(id)) {
      throw new MeshError(
        'bad-input',
        `This catalogue file is not valid: cards.${index}: a second card "${id}". Give it another version.`,
        {
          id,
        },
      )
    }
    seen.add(id)
    return {
      id,
      name,
      version: given ?? unversioned,
      member: true,
      summary: '',
      capabilities: [{ name, description: entry.text }],
      tags: [],
      bytes: 0,
      requires: Object.entries(entry.requires ?? {}).map(([required, range]) => ({ name: required, range })),
    }
  })
}

/** A key of this name would be lost on its way: the release that it stands for would not be required. */
function refusePrototype(key: string, value: unknown): unknown {
  if (key !== '__proto__') return value
  throw new MeshError('bad-input', 'This catalogue file is not valid: nothing in it can be called __proto__.')
}

function splitVersion(id: string): { name: string; version: string } | undefined {
  const at = id.lastIndexOf('@')
  const version = id.slice(at + 1)
  return at > 0 && semver.valid(version) === version ? { name: id.slice(0, at), version } : undefined
}
