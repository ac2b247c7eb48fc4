// A stop text must never be shown, not even its first half, although it arrives in pieces.

export interface StopTexts {
  /** Takes the next piece; gives what may be shown now, and whether a stop text has come. */
  add(piece: string): { readonly show: string; readonly stopped: boolean }
  /** What was held back and turned out to be harmless. */
  rest(): string
}

export function watchStopTexts(stopTexts: readonly string[]): StopTexts {
  const stops = stopTexts.filter((text) => text !== '')
  let held = ''
  return {
    add(piece) {
      held += piece
      const at = stops.map((stop) => held.indexOf(stop)).filter((index) => index >= 0)
      if (at.length > 0) {
        const show = held.slice(0, Math.min(...at))
        held = ''
        return { show, stopped: true }
      }
      const keep = Math.max(0, ...stops.map((stop) => startOfAtEnd(held, stop)))
      const show = held.slice(0, held.length - keep)
      held = held.slice(held.length - keep)
      return { show, stopped: false }
    },
    rest() {
      const rest = held
      held = ''
      return rest
    },
  }
}

/** Length of the longest proper start of `stop` that `text` ends with. */
function startOfAtEnd(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length
  }
  return 0
}
