// How many delegates are enough, and whose turn it is.

/** The smallest number that is more than two thirds of all: 1, 2, 3, 3, 4, 5, 5 for one to seven delegates. */
export function quorumOf(delegates: number): number {
  return Math.floor((2 * delegates) / 3) + 1
}

/** The smallest number that is more than a third of all: as long as fewer than a third misbehave, one of so many is honest. */
export function moreThanAThirdOf(delegates: number): number {
  return Math.floor(delegates / 3) + 1
}

export function proposerOf(round: number, delegates: number): number {
  return round % delegates
}
