// Two runs over the same questions: how far apart, and how sure that is.

export interface PairedDifference {
  readonly n: number
  /** Shares of right answers, in millionths. */
  readonly value: number
  readonly againstValue: number
  /** Of `value`, in millionths. */
  readonly valueError: number
  /** Of value - againstValue, in millionths. */
  readonly standardError: number
}

/**
 * With b questions that only the first run answers rightly and c that only the second does, the difference of the shares is (b - c) / n, and
 * its Wald standard error sqrt(b + c - (b - c)^2 / n) / n (A. Agresti, Categorical Data Analysis, 3rd ed., section 11.1). Questions that both
 * answer alike, and that is most of them, don't widen it. Both lists have n items.
 */
export function pairedDifference(right: readonly boolean[], againstRight: readonly boolean[]): PairedDifference {
  const n = right.length
  if (n === 0 || n !== againstRight.length) throw new Error(`${n} answers against ${againstRight.length}`)
  const onlyFirst = right.filter((ok, i) => ok && !againstRight[i]).length
  const onlySecond = right.filter((ok, i) => !ok && againstRight[i]).length
  const share = right.filter(Boolean).length / n
  const againstShare = againstRight.filter(Boolean).length / n
  const variance = onlyFirst + onlySecond - (onlyFirst - onlySecond) ** 2 / n
  return {
    n,
    value: millionths(share),
    againstValue: millionths(againstShare),
    valueError: millionths(Math.sqrt((share * (1 - share)) / n)),
    standardError: millionths(Math.sqrt(Math.max(variance, 0)) / n),
  }
}

function millionths(share: number): number {
  return Math.round(share * 1e6)
}
