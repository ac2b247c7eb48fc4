// The model part of the door: is a fetched adapter file what its manifest says, and does it do on this node's base what its publisher
// measured? Seal, release id, size and SHA-256 have been checked when this is asked.
import type { Engine } from '../assembler/index.ts'
import { openFileSource, validateAdapter } from '../model-files/index.ts'
import type { AdapterInfo } from '../model-files/index.ts'
import { MeshError, toHex } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { BaseStore, KnownBase } from './base-store.ts'
import { probeAdapter, requireBase } from './probe-releases.ts'

export interface ModelCheck {
  readonly bases: BaseStore
  readonly engine: Engine
  /** The base the release is wanted for; absent: only to be passed on. */
  readonly wantedFor: KnownBase | undefined
}

/**
 * Returns the base it was probed on, undefined where this node has none that fits. Throws `base-mismatch`, `tokenizer-mismatch`,
 * `manifest-mismatch`, `probe-failed`, or what the validator throws.
 */
export async function checkModel(
  { bases, engine, wantedFor }: ModelCheck,
  path: string,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<KnownBase | undefined> {
  if (wantedFor !== undefined) requireBase(manifest, wantedFor)
  const base = wantedFor ?? baseOf(bases, manifest)
  using source = openFileSource(path)
  const info = await validateAdapter(source, base && (await bases.info(base, signal)), { signal })
  requireAsPromised(manifest, info)
  if (base !== undefined) await probeAdapter(engine, manifest, path, base, signal)
  return base
}

function baseOf(bases: BaseStore, manifest: Manifest): KnownBase | undefined {
  const base = bases.list().find(({ id }) => id === toHex(manifest.base.id))
  if (base !== undefined) requireBase(manifest, base)
  return base
}

function requireAsPromised({ name, version, adapter }: Manifest, info: AdapterInfo): void {
  const { rank, dtype } = info
  const promised = {
    rank: adapter.rank,
    alpha: adapter.alpha,
    targets: adapter.targets.join(' '),
    dtype: adapter.dtype,
  }
  const found = { rank, alpha: Math.round(info.alpha * 1e6), targets: info.targets.join(' '), dtype }
  const wrong = (['rank', 'alpha', 'targets', 'dtype'] as const).find((field) => promised[field] !== found[field])
  if (wrong === undefined) return
  throw new MeshError(
    'manifest-mismatch',
    `${name}@${version} promises ${wrong} ${promised[wrong]}, its file has ${found[wrong]}: it is refused.`,
    { field: wrong, promised: promised[wrong], found: found[wrong] },
  )
}
