// Each release is probed once per base file: does it gain here what its publisher measured? The answer is kept beside the release.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkProbe } from '../assembler/index.ts'
import type { Engine, ScaledAdapter } from '../assembler/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import { errorCode, writePrivateFile } from './private-file.ts'

/** Refuses a manifest that was made for another base than this one. Throws `base-mismatch`, `tokenizer-mismatch`. */
export function requireBase(manifest: Manifest, base: KnownBase): void {
  const { name, version } = manifest
  if (toHex(manifest.base.id) !== base.id) {
    throw new MeshError(
      'base-mismatch',
      `${name}@${version} is for the base ${manifest.base.label}, not for ${base.label}.`,
      {
        wanted: toHex(manifest.base.id),
        label: manifest.base.label,
        base: base.id,
      },
    )
  }
  if (toHex(manifest.base.tokenizer) !== base.tokenizer) {
    throw new MeshError(
      'tokenizer-mismatch',
      `${name}@${version} was made with other token ids than ${base.label} has.`,
      {
        wanted: toHex(manifest.base.tokenizer),
        base: base.tokenizer,
      },
    )
  }
}

/** Runs the probe of a manifest on a base of this node with the adapter file at `path`. Throws `probe-failed`, and what the engine throws. */
export async function probeAdapter(
  engine: Engine,
  manifest: Manifest,
  path: string,
  base: KnownBase,
  signal: AbortSignal,
): Promise<void> {
  const adapter: ScaledAdapter = { path, sha256: toHex(manifest.adapter.sha256), scale: manifest.use.scale / 1e6 }
  const sameFile = manifest.base.evaluatedOn.some((file) => toHex(file) === base.file)
  await checkProbe(engine, { path: base.path, sha256: base.file }, adapter, manifest.probe, { sameFile, signal })
}

/** Whether the probe of the release in `folder` has passed on this base file before. */
export async function wasProbed(folder: string, base: KnownBase): Promise<boolean> {
  try {
    await readFile(probePath(folder, base))
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

export async function rememberProbed(folder: string, base: KnownBase): Promise<void> {
  await writePrivateFile(probePath(folder, base), '')
}

function probePath(folder: string, base: KnownBase): string {
  return join(folder, `probed-${base.file.slice(0, 16)}`)
}
