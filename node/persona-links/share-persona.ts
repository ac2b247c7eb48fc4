// Personas that whoever has their link can get from this node while it is online. Which ones they are lies beside the lockfiles, one empty
// file each, so that a restart goes on with them.
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, identityFromText, isMeshError, limits, personaLink } from '../../protocol/index.ts'
import { encodeLockfile, lockfileDigest } from '../../resolver/index.ts'
import type { Lockfile } from '../../resolver/index.ts'
import { missingReleases } from '../assemble-persona.ts'
import type { Node } from '../create-node.ts'
import type { Persona } from '../persona-store.ts'
import { writePrivateFile } from '../private-file.ts'

/** Each is a topic to be met on, and a node can be on 64 of them. */
export const sharedPersonasMax = 16
const SUFFIX = '.shared'

export interface SharedPersona {
  readonly persona: string
  readonly link: string
  /** `name@version`. */
  readonly releases: readonly string[]
  /** What of a request is written in it, and so shown to whoever opens the link. */
  readonly words: readonly string[]
}

type SharingNode = Pick<Node, 'personas' | 'releases' | 'registry' | 'options'>

/**
 * Without a name the persona made last, as it is now. Sharing again gives the same link. Throws `not-found`, also for a persona of which
 * a release is not held here, `too-large`, `bad-input` when too many are shared.
 */
export async function sharePersona(node: SharingNode, name: string | undefined): Promise<SharedPersona> {
  const persona = await node.personas.get(name)
  requireHeld(node, persona)
  const bytes = shareableBytes(persona)
  const ids = await sharedIds(node)
  if (!ids.includes(persona.id)) {
    if (ids.length >= sharedPersonasMax) throw tooMany(ids)
    await writePrivateFile(markOf(node, persona.id), '')
  }
  node.registry.shareLockfile(lockfileDigest(persona.lockfile), bytes)
  return sharedAnswer(persona)
}

/** Whoever has opened it keeps it. Throws `not-found` when it is not shared. */
export async function stopSharing(node: SharingNode, name: string | undefined): Promise<{ readonly persona: string }> {
  const { id, lockfile } = await node.personas.get(name)
  if (!(await sharedIds(node)).includes(id))
    throw new MeshError('not-found', `The persona ${id} is not shared: \`lora-mesh share --list\` shows which are.`)
  await rm(markOf(node, id), { force: true })
  node.registry.unshareLockfile(lockfileDigest(lockfile))
  return { persona: id }
}

export async function listShared(node: SharingNode): Promise<readonly SharedPersona[]> {
  return (await sharedPersonas(node)).map(sharedAnswer)
}

/** Goes on sharing what was shared before: for a node that has just started. */
export async function keepSharing(node: SharingNode): Promise<void> {
  for (const persona of await sharedPersonas(node)) {
    try {
      requireHeld(node, persona)
      node.registry.shareLockfile(lockfileDigest(persona.lockfile), shareableBytes(persona))
    } catch (error) {
      if (!isMeshError(error)) throw error
      node.options.log(`The persona ${persona.id} is not shared now: ${error.message}`)
    }
  }
}

function sharedAnswer({ id, lockfile }: Persona): SharedPersona {
  const { releases, gaps } = lockfile
  return {
    persona: id,
    link: linkOf(lockfile),
    releases: releases.map(({ name, version }) => `${name}@${version}`),
    words: [...new Set([...releases.flatMap(({ facets }) => facets), ...gaps.map(({ facet }) => facet)])],
  }
}

function linkOf(lockfile: Lockfile): string {
  return personaLink(
    lockfileDigest(lockfile),
    lockfile.releases.map(({ publisher }) => identityFromText(publisher)),
  )
}

function shareableBytes({ id, lockfile }: Persona): Uint8Array {
  const bytes = encodeLockfile(lockfile)
  if (bytes.length <= limits.sharedLockfileMaxBytes) return bytes
  const most = `at most ${limits.sharedLockfileMaxBytes} can be handed over`
  throw new MeshError('too-large', `The lockfile of ${id} has ${bytes.length} bytes; ${most}.`)
}

function requireHeld(node: SharingNode, { id, lockfile }: Persona): void {
  const [missing] = missingReleases(node, lockfile)
  if (missing === undefined) return
  const { name, version, releaseId } = missing
  throw new MeshError(
    'not-found',
    `${name}@${version} of the persona ${id} is not on this node: fetch it with \`lora-mesh seed ${name}\`, then share.`,
    { release: releaseId },
  )
}

async function sharedPersonas(node: SharingNode): Promise<readonly Persona[]> {
  const ids = await sharedIds(node)
  return (await node.personas.list()).filter(({ id }) => ids.includes(id))
}

async function sharedIds(node: SharingNode): Promise<readonly string[]> {
  const names = await readdir(node.options.paths.personas)
  return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length))
}

function markOf(node: SharingNode, id: string): string {
  return join(node.options.paths.personas, id + SUFFIX)
}

function tooMany(ids: readonly string[]): MeshError {
  return new MeshError(
    'bad-input',
    `A node shares at most ${sharedPersonasMax} personas at a time: stop one with \`lora-mesh share --stop ${ids[0]}\`.`,
    { ids },
  )
}
