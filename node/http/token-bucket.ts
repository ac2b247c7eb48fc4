// A rate limit: `burst` at once, `perSecond` in the long run.

export interface TokenBucket {
  /** Whether one more is allowed now. */
  take(): boolean
}

/** `clock` in milliseconds. */
export function tokenBucket(burst: number, perSecond: number, clock: () => number): TokenBucket {
  let level = burst
  let at = clock()
  return {
    take() {
      const now = clock()
      level = Math.min(burst, level + (Math.max(0, now - at) / 1_000) * perSecond)
      at = now
      if (level < 1) return false
      level -= 1
      return true
    },
  }
}
