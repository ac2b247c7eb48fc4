// How a command line names an adapter and its strength: FILE or FILE:SCALE.
import { MeshError } from '../protocol/index.ts'

export interface ScaledFile {
  readonly path: string
  /** 1: as its author meant it. */
  readonly scale: number
}

/** The part after the last colon is the scale if it is a number, so paths may hold colons. Throws `usage` for numbers that are no scale. */
export function parseScaledFile(text: string): ScaledFile {
  const match = /^(.+):([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)$/s.exec(text)
  if (match?.[1] === undefined || match[2] === undefined) {
    if (/:\s*$/.test(text))
      throw new MeshError('usage', `"${text}" names no scale after the colon: write FILE or FILE:0.7.`)
    return { path: text, scale: 1 }
  }
  const scale = Number(match[2])
  if (!Number.isFinite(scale) || Math.abs(scale) > 16)
    throw new MeshError('usage', `"${text}": a scale lies between -16 and 16.`)
  return { path: match[1], scale }
}
