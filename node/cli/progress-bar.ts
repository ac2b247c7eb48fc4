// Progress on standard error: one bar that is redrawn on a terminal, a few lines elsewhere.
import type { Writable } from 'node:stream'
import { bytesText, durationText } from './units.ts'

export interface ProgressStep {
  /** What is being done, such as the name of a release. */
  readonly label: string
  readonly doneBytes: number
  readonly totalBytes: number
  readonly peers?: number
}

export interface ProgressBar {
  show(step: ProgressStep): void
  /** Removes a drawn bar, so that a line can be printed in its place. */
  clear(): void
}

const REDRAW_MS = 100
const RATE_WINDOW_MS = 5_000
const BAR_WIDTH = 24
/** Where nothing can be redrawn, a line per this share of the whole. */
const LINE_SHARE = 0.25

interface Track {
  readonly samples: { at: number; bytes: number }[]
  linesShown: number
  finished: boolean
}

export function progressBar(
  errors: Writable & { readonly isTTY?: boolean; readonly columns?: number },
  clock: () => number,
): ProgressBar {
  const tracks = new Map<string, Track>()
  let drawnAt = -Infinity
  let drawn = false
  const clear = (): void => {
    if (drawn) errors.write('\r\u001B[K')
    drawn = false
  }
  return {
    clear,
    show(step) {
      const now = clock()
      const track = tracks.get(step.label) ?? { samples: [], linesShown: -1, finished: false }
      tracks.set(step.label, track)
      const done = step.doneBytes >= step.totalBytes
      if (track.finished) return
      track.finished = done
      const bytesPerSecond = rate(track, now, step.doneBytes)
      if (errors.isTTY !== true) {
        const lines = Math.floor(share(step) / LINE_SHARE)
        if (lines > track.linesShown) errors.write(`${barText(step)} ${stepText(step, bytesPerSecond)}\n`)
        track.linesShown = Math.max(lines, track.linesShown)
        return
      }
      if (!done && now - drawnAt < REDRAW_MS) return
      drawnAt = now
      const line = `${barText(step)} ${stepText(step, bytesPerSecond)}`.slice(0, (errors.columns ?? 80) - 1)
      errors.write(`\r\u001B[K${line}${done ? '\n' : ''}`)
      drawn = !done
    },
  }
}

function rate(track: Track, now: number, bytes: number): number {
  track.samples.push({ at: now, bytes })
  while (track.samples.length > 2 && now - (track.samples[0]?.at ?? now) > RATE_WINDOW_MS) track.samples.shift()
  const oldest = track.samples[0]
  if (oldest === undefined || now <= oldest.at) return 0
  return ((bytes - oldest.bytes) / (now - oldest.at)) * 1_000
}

function share({ doneBytes, totalBytes }: ProgressStep): number {
  return totalBytes === 0 ? 1 : doneBytes / totalBytes
}

function barText(step: ProgressStep): string {
  const full = Math.round(share(step) * BAR_WIDTH)
  return `[${'='.repeat(full)}${' '.repeat(BAR_WIDTH - full)}]`
}

function stepText(step: ProgressStep, bytesPerSecond: number): string {
  const left = step.totalBytes - step.doneBytes
  const parts = [
    `${String(Math.floor(share(step) * 100)).padStart(3)} % of ${bytesText(step.totalBytes)}`,
    step.label,
    ...(bytesPerSecond > 0 ? [`${bytesText(bytesPerSecond)}/s`] : []),
    ...(bytesPerSecond > 0 && left > 0 ? [`${durationText((left / bytesPerSecond) * 1_000)} left`] : []),
    ...(step.peers === undefined ? [] : [`${step.peers} ${step.peers === 1 ? 'peer' : 'peers'}`]),
  ]
  return parts.join('  ')
}
