// Tiny models, and broken ones, end in a circle: the same word, line or paragraph for ever. Greedy decoding never leaves it.

const longestPeriod = 64
/** So many tokens must have repeated what stood one period earlier, and the period itself at least three times. */
const leastRepeated = 48
const leastRounds = 3

export interface RepetitionWatch {
  /** True once the tail of what was added is a circle. Costs one comparison per period. */
  add(token: number): boolean
}

export function watchRepetition(): RepetitionWatch {
  const tokens: number[] = []
  const repeated = new Uint32Array(longestPeriod + 1)
  return {
    add(token) {
      tokens.push(token)
      let circle = false
      for (let period = 1; period <= longestPeriod; period++) {
        const run = tokens[tokens.length - 1 - period] === token ? (repeated[period] ?? 0) + 1 : 0
        repeated[period] = run
        circle ||= run >= Math.max(leastRepeated, leastRounds * period)
      }
      return circle
    },
  }
}
