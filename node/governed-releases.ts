// What a name means now: what the community's channel holds where there is one, else the highest version. A channel that leads to a
// withdrawn release counts as none: personas that have the release keep it, and nobody new gets it.
import { fromHex, identityToText, toHex } from '../protocol/index.ts'
import type { CatalogueEntry, ChannelView, Registry } from '../registry/index.ts'
import { highestReleases } from './current-release.ts'
import type { CurrentRelease } from './current-release.ts'

type ChannelSource = Pick<Registry, 'communities' | 'governance' | 'release'>

/** Bare name -> release id in hex, for one base (hex): of several followed communities' channels the one followed first decides. */
export function channelsOn(registry: ChannelSource, baseId: string): Map<string, string> {
  const channels = new Map<string, string>()
  for (const { capability, base, release } of followedChannels(registry)) {
    if (toHex(base) !== baseId || channels.has(capability)) continue
    if (withdrawalOf(registry, release) === undefined) channels.set(capability, toHex(release))
  }
  return channels
}

/** As `highestReleases`, but for names that a community has a channel for. An outsider's releases follow their publisher alone. */
export function governedReleases(registry: ChannelSource, catalogue: readonly CatalogueEntry[]): CurrentRelease {
  const highest = highestReleases(catalogue)
  const bases = new Map<string, ReadonlyMap<string, string>>()
  const insiders = new Set(
    catalogue.filter(({ outsider }) => !outsider).map((entry) => identityToText(entry.publisher)),
  )
  return (name, publisher, baseId) => {
    let channels = bases.get(baseId)
    if (channels === undefined) bases.set(baseId, (channels = channelsOn(registry, baseId)))
    const decided = insiders.has(publisher) ? channels.get(name) : undefined
    return decided ?? highest(name, publisher, baseId)
  }
}

/** A channel that leads to what is not offered any more. */
export interface LostChannel {
  readonly capability: string
  /** Ids in hex. */
  readonly base: string
  readonly releaseId: string
  /** What happened, what it means meanwhile, and what to do. */
  readonly sentence: string
}

/** Those of all followed communities. */
export function lostChannels(registry: ChannelSource): LostChannel[] {
  return followedChannels(registry).flatMap((channel) => lostChannel(registry, channel) ?? [])
}

export function lostChannel(registry: Pick<Registry, 'release'>, channel: ChannelView): LostChannel | undefined {
  const { capability, base, release, held } = channel
  const entry = registry.release(release)
  if (entry?.withdrawn === undefined) return undefined
  const { name, version } = entry.manifest
  const mayGoBack = held.some((id) => withdrawalOf(registry, fromHex(id)) === undefined)
  const way = mayGoBack
    ? `\`lora-mesh propose rollback ${capability}\`, or \`lora-mesh propose upgrade\``
    : `\`lora-mesh propose upgrade ${name}@VERSION\``
  const sentence =
    `The channel ${capability} leads to ${name}@${version}, which was withdrawn (${entry.withdrawn}): ` +
    `new requests get the highest other version, where there is one. Move the channel: ${way}.`
  return { capability, base: toHex(base), releaseId: toHex(release), sentence }
}

function followedChannels(registry: ChannelSource): ChannelView[] {
  const followed = registry.communities().filter(({ state }) => state === 'following')
  return followed.flatMap(({ id }) => registry.governance.channels(id))
}

function withdrawalOf(registry: Pick<Registry, 'release'>, release: Uint8Array): string | undefined {
  return registry.release(release)?.withdrawn
}
