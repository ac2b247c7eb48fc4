// Releases named outright in a request: `biology@^1.8`, `PUBLISHER/biology`, `PUBLISHER/biology@1.8.0`.
import semver from 'semver'

/** Which releases a reference allows. */
export interface Reference {
  /** As it was written. */
  readonly text: string
  /** Identity text, or undefined for a bare name. */
  readonly publisher?: string
  readonly name: string
  /** A semver range; every release without a prerelease when absent. */
  readonly range?: string
}

const identity = /^[a-z2-7]{52}$/
const bareName = /^[a-z0-9]+(?:[-_.][a-z0-9]+)*$/
const tokenMaxChars = 200

/**
 * The references of a text, and the text without them and without addresses of the web and of mail, which name no skill. A slash or an
 * at-sign that makes no sense as one stays text.
 */
export function findReferences(
  text: string,
  qualifiedNames: ReadonlySet<string>,
): { references: Reference[]; rest: string } {
  const references: Reference[] = []
  const rest = text.replaceAll(/[^\s,;()"]+/g, (token) => {
    const reference = parseReference(token.replace(/[.!?:]$/, ''), qualifiedNames)
    if (reference === undefined) return isAddress(token) ? ',' : token
    references.push(reference)
    // A comma keeps the words on both sides from growing together.
    return ','
  })
  return { references, rest }
}

function isAddress(token: string): boolean {
  return /^[a-z]+:\/\/|^[^@]+@[^@]+\.[^@]+$/i.test(token)
}

function parseReference(token: string, qualifiedNames: ReadonlySet<string>): Reference | undefined {
  if (token.length > tokenMaxChars || !/[/@]/.test(token)) return undefined
  const at = token.indexOf('@')
  const path = at < 0 ? token : token.slice(0, at)
  const range = at < 0 ? undefined : token.slice(at + 1)
  // An empty range would mean "any": "biology@" is a slip of the pen, not a wish.
  if (range !== undefined && (range === '' || semver.validRange(range) === null)) return undefined
  const slash = path.lastIndexOf('/')
  const publisher = slash < 0 ? undefined : path.slice(0, slash)
  const name = path.slice(slash + 1).toLowerCase()
  if (!bareName.test(name)) return undefined
  if (publisher !== undefined && !identity.test(publisher) && !qualifiedNames.has(path)) return undefined
  return {
    text: token,
    ...(publisher === undefined ? {} : { publisher }),
    name,
    ...(range === undefined ? {} : { range }),
  }
}
