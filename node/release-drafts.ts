// A release that is finished but for its publisher's yes: the exact bytes that a signature would cover lie in the staging folder under the
// release id that they have already. So what was shown is what is signed, or nothing is.
import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { sha256File } from '../model-files/index.ts'
import { MeshError, bytesEqual, decodeManifest, releaseId, toHex } from '../protocol/index.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { manifestText } from './manifest-text.ts'
import { prepareRelease } from './prepare-release.ts'
import type { PreparedRelease } from './prepare-release.ts'
import { errorCode, writePrivateFile } from './private-file.ts'
import { signAndAnnounce } from './publish-release.ts'
import type { PublishedRelease } from './publish-release.ts'
import type { PublishWish } from './release-wish.ts'
import { draftFolder, stagedPatchPath, stagedPath, stagingFolder } from './stage-adapter.ts'

export interface ReleaseDraft {
  /** The release id that it will have. */
  readonly draft: string
  /** Every field that will be signed, for people. */
  readonly text: string
}

const PAYLOAD = 'manifest-unsigned'
const LABELS = 'suites.json'
const labelsSchema = z.record(z.string(), z.string())

/** Takes as long as publishing; nothing is signed. Throws what preparing throws. */
export async function draftRelease(node: Node, wish: PublishWish, context: CallContext): Promise<ReleaseDraft> {
  await using folder = await stagingFolder(node)
  const { manifest, payload, suiteLabels } = await prepareRelease(node, wish, folder, context)
  const draft = toHex(releaseId(payload))
  await writePrivateFile(join(folder.path, PAYLOAD), payload)
  await writePrivateFile(join(folder.path, LABELS), JSON.stringify(Object.fromEntries(suiteLabels)))
  await discardDraft(node, draft)
  await rename(folder.path, draftFolder(node, draft))
  return { draft, text: manifestText(manifest, draft, suiteLabels) }
}

/** Throws `not-found` for a draft that was discarded, or made before the node's last start. */
export async function publishDraft(node: Node, draft: string, context: CallContext): Promise<PublishedRelease> {
  const prepared = await openDraft(node, draft, context.signal)
  const published = await signAndAnnounce(node, prepared, context)
  await discardDraft(node, draft)
  return published
}

export async function discardDraft(node: Node, draft: string): Promise<void> {
  await rm(draftFolder(node, draft), { recursive: true, force: true })
}

async function openDraft(node: Node, draft: string, signal: AbortSignal): Promise<PreparedRelease> {
  const folder = draftFolder(node, draft)
  const payload = await readFile(join(folder, PAYLOAD)).catch((cause: unknown) => {
    if (errorCode(cause) !== 'ENOENT') throw cause
    throw new MeshError(
      'not-found',
      'This draft is gone: make it again with `lora-mesh publish`.',
      { draft },
      { cause },
    )
  })
  const bytes = new Uint8Array(payload)
  if (toHex(releaseId(bytes)) !== draft) throw damaged(draft)
  const manifest = decodeManifest(bytes)
  const path = stagedPath(folder, toHex(manifest.adapter.sha256))
  if (!bytesEqual(await sha256File(path, { signal }), manifest.adapter.sha256)) throw damaged(draft)
  const labels = labelsSchema.parse(JSON.parse(await readFile(join(folder, LABELS), 'utf8')))
  const base = node.bases.find(toHex(manifest.base.evaluatedOn[0]!))
  const patch = stagedPatchPath(folder)
  const patchPath = existsSync(patch) ? patch : undefined
  return { base, manifest, payload: bytes, path, patchPath, suiteLabels: new Map(Object.entries(labels)) }
}

function damaged(draft: string): MeshError {
  return new MeshError('hash-mismatch', 'This draft is damaged: make it again with `lora-mesh publish`.', { draft })
}
