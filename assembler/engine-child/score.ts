// Negative log-likelihoods, the one measure that conversions, bakes, probes and suites are judged by.
import type { Token } from 'node-llama-cpp'
import { MeshError } from '../../protocol/index.ts'
import type { ScaledFile, Score, ScoreRequest, SequenceScore } from '../engine-messages.ts'
import type { LoadedBase } from './loaded-base.ts'

/** A full distribution is a Map of the whole vocabulary per position; this many entries at once are about 100 MB. */
const entriesAtOnce = 1 << 21
/** 2^-149, the smallest positive float32: llama.cpp's softmax is float32 and rounds what is less likely to 0. */
const leastProbability = 2 ** -149
const maxLogProbabilities = 1 << 26

export async function scoreSequences(
  base: LoadedBase,
  { adapters, sequences, predicted = [] }: ScoreRequest,
  context: { signal: AbortSignal; emit(event: unknown): void },
): Promise<Score> {
  const longest = sequences.reduce((most, { length }) => Math.max(most, length), 0)
  const scores: SequenceScore[] = []
  for (const [index, tokens] of sequences.entries()) {
    context.signal.throwIfAborted()
    scores.push(await scoreOne(base, adapters, tokens, predicted[index] ?? tokens.length - 1, longest))
    context.emit({ done: index + 1 })
  }
  const tokens = scores.reduce((sum, score) => sum + score.tokens, 0)
  const total = scores.reduce((sum, score) => sum + score.tokens * score.meanNll, 0)
  return { tokens, meanNll: tokens === 0 ? 0 : total / tokens, sequences: scores }
}

async function scoreOne(
  base: LoadedBase,
  adapters: readonly ScaledFile[],
  tokens: readonly number[],
  predicted: number,
  longest: number,
): Promise<SequenceScore> {
  if (tokens.length < 2 || predicted < 1 || predicted >= tokens.length) {
    throw new MeshError('bad-input', 'Nothing to predict: a sequence needs at least two tokens.', {
      tokens: tokens.length,
    })
  }
  // The last token is only predicted, never evaluated, and has to be one all the same.
  base.checkTokens(tokens)
  let sum = 0
  const first = tokens.length - 1 - predicted
  await forEachDistribution(base, adapters, tokens.slice(0, -1), first, longest, (position, distribution) => {
    sum -= logOf(distribution.get(tokens[position + 1] as Token))
  })
  return { tokens: predicted, meanNll: sum / predicted }
}

export async function logProbabilities(
  base: LoadedBase,
  adapters: readonly ScaledFile[],
  tokens: readonly number[],
): Promise<Float32Array[]> {
  const { vocabulary } = base.info
  if (tokens.length * vocabulary > maxLogProbabilities) {
    throw new MeshError('bad-input', 'Too many tokens for full distributions; ask for fewer at a time.', {
      tokens: tokens.length,
    })
  }
  const rows: Float32Array[] = []
  await forEachDistribution(base, adapters, tokens, 0, tokens.length, (_position, distribution) => {
    const row = new Float32Array(vocabulary)
    for (const [token, probability] of distribution) row[token] = logOf(probability)
    rows.push(row)
  })
  return rows
}

/** Calls `visit` for every position from `first` on with the distribution of the token after it (temperature 0: the plain softmax). */
async function forEachDistribution(
  base: LoadedBase,
  adapters: readonly ScaledFile[],
  tokens: readonly number[],
  first: number,
  roomFor: number,
  visit: (position: number, distribution: Map<Token, number>) => void,
): Promise<void> {
  const checked = base.checkTokens(tokens)
  const sequence = await base.sequenceFor('score', adapters, roomFor)
  await sequence.clearHistory()
  const step = Math.max(16, Math.floor(entriesAtOnce / base.info.vocabulary))
  for (let start = 0; start < checked.length; start += step) {
    const outputs = await sequence.controlledEvaluate(
      checked
        .slice(start, start + step)
        .map((token, offset) => (start + offset < first ? token : [token, { generateNext: { probabilities: true } }])),
    )
    for (const [offset, output] of outputs.entries()) {
      if (output?.next.probabilities === undefined) continue
      if (isFlat(output.next.probabilities)) throw notFinite()
      visit(start + offset, output.next.probabilities)
    }
  }
}

/** Throws `not-finite`: one NaN weight turns every logit into NaN, and the engine goes on without a word. */
function logOf(probability: number | undefined): number {
  if (probability === undefined || !Number.isFinite(probability)) throw notFinite()
  return Math.log(Math.max(probability, leastProbability))
}

/** Where every logit is NaN the softmax may come out as the same number for every token, which no model computes. */
function isFlat(distribution: ReadonlyMap<Token, number>): boolean {
  const [first, ...others] = distribution.values().take(2)
  if (others.length === 0 || others[0] !== first) return false
  return distribution.values().every((probability) => probability === first)
}

function notFinite(): MeshError {
  return new MeshError(
    'not-finite',
    'With these adapters the model computes no numbers (NaN); one of the files is broken.',
  )
}
