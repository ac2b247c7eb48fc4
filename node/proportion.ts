// Shares of right answers, and what chance alone does to them.

export interface Proportion {
  /** 0 to 1. */
  readonly share: number
  /** Of how many. */
  readonly n: number
}

/**
 * sqrt(p (1 - p) / n): the Wald standard error of a binomial proportion (A. Agresti, Categorical Data Analysis, 3rd ed., section 1.4). It is
 * 0 where all or no answers are right, which is no certainty: `zScore` is what decisions are made by.
 */
export function standardError({ share, n }: Proportion): number {
  return Math.sqrt((share * (1 - share)) / n)
}

/**
 * How many standard errors `a` lies above `b`: (p_a - p_b) / sqrt(p (1 - p) (1 / n_a + 1 / n_b)) with p the share of both together (J. Fleiss
 * et al., Statistical Methods for Rates and Proportions, 3rd ed., chapter 3). Meant for independent samples; answers to the same questions
 * go together, so that it errs on the side of seeing no difference.
 */
export function zScore(a: Proportion, b: Proportion): number {
  const pooled = (a.share * a.n + b.share * b.n) / (a.n + b.n)
  const spread = Math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n))
  return spread === 0 ? 0 : (a.share - b.share) / spread
}

/** Chance alone goes beyond this, in either direction, in one of twenty cases. */
export const significantZ = 1.96
