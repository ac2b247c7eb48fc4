// A persona as lists show it.
import type { Persona } from './persona-store.ts'

export function personaAnswer({ id, lockfile, note }: Persona) {
  const { base, releases, gaps, mode } = lockfile
  const { follows, successor } = note
  return {
    id,
    base: base.label,
    mode,
    releases: releases.map(({ name, version }) => `${name}@${version}`),
    gaps: gaps.map(({ capability }) => capability),
    follows,
    ...(follows === 'float' && successor !== undefined ? { successor } : {}),
  }
}
