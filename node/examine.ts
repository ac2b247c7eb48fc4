// What `doctor` looks at: everything that commonly keeps a node from working, each with what to do about it.
import { stat, statfs } from 'node:fs/promises'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import { readVersion } from './version.ts'

export interface Finding {
  readonly check: string
  /** `warning`: something will not work; `error`: nothing will. */
  readonly state: 'ok' | 'warning' | 'error'
  readonly detail: string
}

const LOW_DISK_BYTES = 512 * 1024 * 1024
const LEAST_NODE = 24

export async function examineNode(node: Node, signal: AbortSignal): Promise<readonly Finding[]> {
  const local = [
    nodeVersion(),
    await dataFolder(node),
    await disk(node),
    await bases(node),
    releases(node),
    communities(node),
    pending(node),
  ]
  return [...local, ...(await node.network.examine(signal)), engine(node)]
}

function nodeVersion(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  const detail = `lora-mesh ${readVersion()} on Node ${process.versions.node}, ${process.platform} ${process.arch}`
  return { check: 'program', state: major >= LEAST_NODE ? 'ok' : 'error', detail }
}

async function dataFolder({ options: { paths } }: Node): Promise<Finding> {
  const { mode } = await stat(paths.root)
  const open = process.platform !== 'win32' && (mode & 0o077) !== 0
  return open
    ? {
        check: 'data folder',
        state: 'warning',
        detail: `Others can read ${paths.root}: run \`chmod 700 ${paths.root}\`.`,
      }
    : { check: 'data folder', state: 'ok', detail: paths.root }
}

async function disk({ options: { paths } }: Node): Promise<Finding> {
  const { bavail, bsize } = await statfs(paths.root)
  const free = bavail * bsize
  const detail = `${Math.floor(free / 1024 / 1024)} MiB free`
  return free < LOW_DISK_BYTES
    ? { check: 'disk', state: 'warning', detail: `Only ${detail}: a large adapter may not fit.` }
    : { check: 'disk', state: 'ok', detail }
}

async function bases(node: Node): Promise<Finding> {
  const current = node.bases.current()
  if (current === undefined)
    return { check: 'base', state: 'warning', detail: 'None yet: `lora-mesh base add MODEL.gguf`.' }
  if (!(await isSameFile(current))) {
    return {
      check: 'base',
      state: 'warning',
      detail: `${current.path} is gone or was changed: add the base again with \`lora-mesh base add FILE\`.`,
    }
  }
  return {
    check: 'base',
    state: 'ok',
    detail: `${current.label} (${current.id.slice(0, 12)}), ${node.bases.list().length} in all`,
  }
}

/** By its size alone: reading gigabytes is what a request does before it uses them. */
async function isSameFile({ path, bytes }: KnownBase): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.size === bytes
}

function releases(node: Node): Finding {
  const known = node.registry.catalogue({ anyPublisher: true }).length
  const broken = node.releases.leftOut().length
  if (broken > 0)
    return { check: 'releases', state: 'warning', detail: `${broken} damaged: \`lora-mesh verify\` says which.` }
  return { check: 'releases', state: 'ok', detail: `${known} known, ${node.releases.list().length} held` }
}

function communities(node: Node): Finding {
  const all = node.registry.communities()
  const waiting = all.filter(({ state }) => state === 'waiting-for-genesis').length
  if (all.length === 0)
    return { check: 'communities', state: 'warning', detail: 'None followed: `lora-mesh community follow LINK`.' }
  if (waiting > 0)
    return {
      check: 'communities',
      state: 'warning',
      detail: `${waiting} of ${all.length} wait for a peer that knows them.`,
    }
  return { check: 'communities', state: 'ok', detail: `${all.length} followed` }
}

function pending(node: Node): Finding {
  const count = node.registry.pending().length
  return count === 0
    ? { check: 'signing', state: 'ok', detail: 'nothing waits' }
    : { check: 'signing', state: 'warning', detail: `${count} waiting: they are signed once a peer has been asked.` }
}

function engine(node: Node): Finding {
  const { state } = node.engine
  return { check: 'engine', state: state.kind === 'backing-off' ? 'warning' : 'ok', detail: state.kind }
}
