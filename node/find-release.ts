// Releases as people name them: NAME@VERSION, PUBLISHER/NAME@VERSION, or the first digits of a release id.
import { MeshError, identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'

/** Shorter beginnings of an id could be names. */
const idDigits = /^[0-9a-f]{8,64}$/

/** Every entry that the text fits. `NAME` alone fits all its versions. */
function releasesNamed(entries: readonly CatalogueEntry[], text: string): CatalogueEntry[] {
  const parts = /^(?:([a-z2-7]{52})\/)?([^/@]+)(?:@(.+))?$/.exec(text)
  return entries.filter(({ releaseId, manifest, publisher }) => {
    if (idDigits.test(text) && toHex(releaseId).startsWith(text)) return true
    if (parts === null || parts[2] !== manifest.name) return false
    return (
      (parts[1] === undefined || parts[1] === identityToText(publisher)) &&
      (parts[3] === undefined || parts[3] === manifest.version)
    )
  })
}

/** The one release that is meant. Throws `not-found`, or `bad-input` where it may be one of several. */
export function oneRelease(entries: readonly CatalogueEntry[], text: string, whose = 'known release'): CatalogueEntry {
  const found = releasesNamed(entries, text)
  const [entry] = found
  if (entry === undefined)
    throw new MeshError('not-found', `${text} is no ${whose}: \`lora-mesh ls\` lists them.`, { release: text })
  if (found.length === 1) return entry
  const choices = found.map(
    ({ releaseId, manifest }) =>
      `${toHex(releaseId).slice(0, 12)} (${manifest.name}@${manifest.version} for ${manifest.base.label})`,
  )
  throw new MeshError('bad-input', `${text} may be one of several: say which by its id, ${choices.join(', ')}.`, {
    release: text,
    ids: found.map(({ releaseId }) => toHex(releaseId)),
  })
}
