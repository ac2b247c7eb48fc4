// Serves what is held: a release, and the patches that lead to it.
import type { Swarm } from '../swarm/index.ts'
import type { HeldRelease } from './release-store.ts'

/** Throws what `Swarm.seed` throws; a patch that can't be served keeps nothing else from being served. */
export async function seedHeld(
  swarm: Pick<Swarm, 'seed'>,
  { infohash, metainfo, paths, patches }: HeldRelease,
): Promise<void> {
  await swarm.seed(infohash, { metainfo, paths })
  for (const patch of patches) {
    await swarm.seed(patch.infohash, { metainfo: patch.metainfo, paths: { patch: patch.path } }).catch(() => {})
  }
}
