// Which inputs were being worked on when a child died. Three times is enough: what kills a process is not handed to it again.

const crashesUntilQuarantine = 3

export interface CrashLedger {
  crashed(blames: Iterable<string>): void
  crashes(blame: string): number
  quarantined(blame: string): boolean
}

export function createCrashLedger(): CrashLedger {
  const counts = new Map<string, number>()
  const crashes = (blame: string): number => counts.get(blame) ?? 0
  return {
    // With several inputs in flight nobody can tell which one did it, so each is counted once per crash; callers who
    // must not blame an innocent input work on one at a time.
    crashed(blames) {
      for (const blame of new Set(blames)) counts.set(blame, crashes(blame) + 1)
    },
    crashes,
    quarantined: (blame) => crashes(blame) >= crashesUntilQuarantine,
  }
}
