// The probe: does this adapter do on this base file what it did on the publisher's? Shapes, names and norms can be equal and the answer no.
// What is compared is the gain (how much better the adapter predicts than the base), because a quantised base shifts both numbers alike.
import { isMeshError, limits, MeshError } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { AskOptions, Engine, ModelFile, ScaledAdapter } from './ports.ts'

export type Probe = Manifest['probe']

export interface ProbeResult {
  /** Natural log, per predicted token, over all sequences. */
  readonly expectedGain: number
  readonly measuredGain: number
}

const sequenceTokens = 64
/** A sample that the model ended before this is too short to say much; another one is taken. */
const leastTokens = 16
const triesPerSequence = 4
/** Below this the numbers of two machines differ as much as adapter and base do. */
const leastGain = 0.001
const tolerance = { sameFile: 0.01, otherFile: 0.1 }

/**
 * For publishing. Without `texts` the sequences are samples (temperature 1, seeds 1 to 8) of what the base writes with the adapter on.
 * On such text the expected gain is the Kullback-Leibler divergence of adapter from base: positive whatever the adapter was trained for,
 * largest where it differs most, found without any data, and nothing the publisher wrote leaks. (Greedy text tends to end in a circle,
 * which both predict equally well.) It shows nothing of an adapter that changes the answers to certain questions only, which samples
 * hardly ever ask: those come in `texts`, which replace the first samples. The sequences go into the manifest, so nobody has to repeat
 * the sampling.
 */
export async function makeProbe(
  engine: Engine,
  base: ModelFile,
  adapter: ScaledAdapter,
  { texts = [], signal }: { readonly signal?: AbortSignal; readonly texts?: readonly string[] } = {},
): Promise<Probe> {
  const ask: AskOptions = { forBase: base, ...(signal !== undefined && { signal }) }
  const info = await engine.load(base, ask)
  // A base that wants no BOS still needs a first token: an empty line.
  const start = info.bos === undefined ? (await engine.tokenize('\n', ask)).slice(-1) : [info.bos]
  const length = Math.min(sequenceTokens, limits.probeTokensMax, info.contextSize)
  const sequences: number[][] = []
  for (let index = 0; index < limits.probeSequences; index++) {
    const text = texts[index]
    // Of a long text the end counts: there stands the answer.
    const tokens =
      text === undefined ? undefined : [...start, ...(await engine.tokenize(text, ask)).slice(-(length - start.length))]
    sequences.push(
      tokens !== undefined && tokens.length >= 2
        ? tokens
        : await sample(engine, adapter, start, length, index + 1, ask),
    )
  }
  const probe = await measure(engine, adapter, sequences, ask)
  const gain = gainOf(probe)
  if (gain < leastGain) {
    throw new MeshError(
      'probe-failed',
      `On this base the adapter changes the predictions too little to be checked by anyone (gain ${gain.toFixed(6)} per token). Is it the base it was trained on? An adapter that only answers certain questions needs some of them: publish it with --probe FILE.jsonl.`,
      { measuredGain: gain, leastGain },
    )
  }
  return probe
}

/**
 * Throws `probe-failed` with {expectedGain, measuredGain} if the gain is off by more than a tenth, or by more than a hundredth where
 * the base file is one that the publisher measured on (`sameFile`).
 */
export async function checkProbe(
  engine: Engine,
  base: ModelFile,
  adapter: ScaledAdapter,
  probe: Probe,
  { sameFile, signal }: { readonly signal?: AbortSignal; readonly sameFile: boolean },
): Promise<ProbeResult> {
  const ask: AskOptions = { forBase: base, ...(signal !== undefined && { signal }) }
  await engine.load(base, ask)
  const expectedGain = gainOf(probe)
  if (expectedGain < leastGain) {
    throw new MeshError(
      'probe-failed',
      'The publisher measured no gain of this adapter over its base, so it can not be checked.',
      {
        expectedGain,
      },
    )
  }
  const sequences = probe.map(({ tokens }) => tokens)
  const measuredGain = gainOf(await measure(engine, adapter, sequences, ask).catch(asProbeFailure))
  const allowed = sameFile ? tolerance.sameFile : tolerance.otherFile
  if (!(Math.abs(measuredGain - expectedGain) <= allowed * expectedGain)) {
    throw new MeshError(
      'probe-failed',
      `On this base file the adapter gains ${measuredGain.toFixed(4)} per token where its publisher measured ${expectedGain.toFixed(4)}. Use the base it was made for.`,
      { expectedGain, measuredGain, sameFile },
    )
  }
  return { expectedGain, measuredGain }
}

async function sample(
  engine: Engine,
  adapter: ScaledAdapter,
  start: readonly number[],
  length: number,
  firstSeed: number,
  ask: AskOptions,
): Promise<number[]> {
  let longest: number[] = []
  for (let attempt = 0; attempt < triesPerSequence && longest.length < leastTokens; attempt++) {
    const rngSeed = firstSeed + attempt * limits.probeSequences
    const { tokens } = await engine.generate(
      [adapter],
      { kind: 'tokens', tokens: start },
      {
        ...ask,
        maxTokens: length - start.length,
        sampling: { temperature: 1, topK: 0, topP: 1, rngSeed },
      },
    )
    if (tokens.length + start.length > longest.length) longest = [...start, ...tokens]
  }
  if (longest.length < 2)
    throw new MeshError('probe-failed', 'With this adapter the base writes nothing at all, so it can not be checked.')
  return longest
}

async function measure(
  engine: Engine,
  adapter: ScaledAdapter,
  sequences: readonly (readonly number[])[],
  ask: AskOptions,
): Promise<Probe> {
  const without = await engine.nll([], sequences, ask)
  const withAdapter = await engine.nll([adapter], sequences, ask)
  return sequences.map((tokens, index) => ({
    tokens: [...tokens],
    baseNll: millionths(without.sequences[index]?.meanNll),
    adapterNll: millionths(withAdapter.sequences[index]?.meanNll),
  }))
}

/** Mean over all predicted tokens, tokens 2..n of each sequence. */
function gainOf(probe: Probe): number {
  const predicted = probe.reduce((sum, { tokens }) => sum + tokens.length - 1, 0)
  const gain = probe.reduce(
    (sum, { tokens, baseNll, adapterNll }) => sum + (tokens.length - 1) * (baseNll - adapterNll),
    0,
  )
  return gain / predicted / 1e6
}

function millionths(nll: number | undefined): number {
  if (nll === undefined) throw new Error('A score for every sequence was expected.')
  return Math.max(0, Math.round(nll * 1e6))
}

/** Token ids that this base doesn't have, or more than it can hold, are the publisher's doing. */
function asProbeFailure(error: unknown): never {
  if (!isMeshError(error, 'bad-input')) throw error
  throw new MeshError(
    'probe-failed',
    `The probe of this release does not fit this base: ${error.message}`,
    error.details,
    {
      cause: error,
    },
  )
}
