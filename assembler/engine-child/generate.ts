import type { LlamaContextSequence, SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import { MeshError } from '../../protocol/index.ts'
import type { Generated, GenerateRequest, Sampling, StopReason } from '../engine-messages.ts'
import type { LoadedBase } from './loaded-base.ts'
import { promptFor } from './prompt.ts'
import type { PromptTokens } from './prompt.ts'
import { watchRepetition } from './repetition.ts'
import { watchStopTexts } from './stop-texts.ts'
import { tokenText } from './token-text.ts'

/** A long prompt is read in steps of this many tokens, so that an abort does not have to wait for all of it. */
const promptStep = 512
const penalisedTokens = 64

/** Emits {text} for every piece of the answer. Always ends: by the model, a stop text, a circle, `maxTokens` or a full context. */
export async function generate(
  base: LoadedBase,
  request: GenerateRequest,
  context: { signal: AbortSignal; emit(event: unknown): void },
): Promise<Generated> {
  const { contextSize } = base.info
  // An answer gets what it asked for, but never more than half of the context: the question has to fit as well.
  const prompt = promptFor(base, request.prompt, contextSize - Math.min(request.maxTokens, contextSize >> 1))
  if (prompt.tokens.length === 0) throw new MeshError('bad-input', 'There is nothing to continue: the prompt is empty.')
  const sequence = await base.sequenceFor('chat', request.adapters)
  const unread = await keepCommonPrefix(sequence, prompt.tokens)
  const last = await readAllButLast(sequence, unread, context.signal)
  const answer = writeAnswer(base, prompt, request)
  if (answer.limit > 0) {
    for await (const token of sequence.evaluate([last], samplingOptions(request.sampling, answer.recent))) {
      context.signal.throwIfAborted()
      const piece = answer.add(token)
      if (piece !== '') context.emit({ text: piece })
      if (answer.stop !== undefined) break
    }
  }
  const rest = answer.finish()
  if (rest !== '') context.emit({ text: rest })
  return {
    text: answer.text,
    tokens: answer.tokens,
    promptTokens: prompt.tokens.length,
    reusedTokens: prompt.tokens.length - unread.length,
    stop: answer.stop ?? (answer.limit > 0 ? 'end' : 'max-tokens'),
  }
}

/** Collects the answer and decides when it is long enough. */
function writeAnswer(base: LoadedBase, prompt: PromptTokens, { maxTokens, stopTexts = [] }: GenerateRequest) {
  const stops = watchStopTexts([...stopTexts, ...prompt.stopTexts])
  const circle = watchRepetition()
  const pieces = tokenText(base.model, prompt.tokens)
  // One less than there is: with a full context the library would start to forget the beginning.
  const space = base.info.contextSize - prompt.tokens.length - 1
  const answer = {
    limit: Math.min(maxTokens, space),
    text: '',
    tokens: [] as Token[],
    stop: undefined as StopReason | undefined,
    /** The last tokens of prompt and answer, which a repeat penalty makes less likely. */
    recent: (): Token[] => [...prompt.tokens.slice(-penalisedTokens), ...answer.tokens].slice(-penalisedTokens),
    /** The text that may be shown now that this token has come. */
    add(token: Token): string {
      answer.tokens.push(token)
      const { show, stopped } = stops.add(pieces.add(token))
      answer.text += show
      if (stopped) answer.stop = 'stop-text'
      else if (circle.add(token)) answer.stop = 'repetition'
      else if (answer.tokens.length >= answer.limit) answer.stop = space < maxTokens ? 'context-full' : 'max-tokens'
      return show
    },
    /** What was held back. */
    finish(): string {
      if (answer.stop === 'stop-text') return ''
      const { show, stopped } = stops.add(pieces.rest())
      const rest = stopped ? show : show + stops.rest()
      answer.text += rest
      return rest
    },
  }
  return answer
}

/** Forgets what the sequence holds beyond its common start with `tokens`; gives the tokens still to read, at least one. */
async function keepCommonPrefix(sequence: LlamaContextSequence, tokens: Token[]): Promise<Token[]> {
  const common = Math.min(sequence.compareContextTokens(tokens).firstDifferentIndex, tokens.length - 1)
  if (common === 0) await sequence.clearHistory()
  else await sequence.eraseContextTokenRanges([{ start: common, end: sequence.nextTokenIndex }])
  // Models with a sliding window may have to forget more than they were asked to.
  return tokens.slice(sequence.nextTokenIndex)
}

/** The last token is left to the generation, which needs something to start from. */
async function readAllButLast(sequence: LlamaContextSequence, tokens: Token[], signal: AbortSignal): Promise<Token> {
  const last = tokens.at(-1)
  if (last === undefined) throw new Error('Nothing is left to read.')
  for (let start = 0; start < tokens.length - 1; start += promptStep) {
    signal.throwIfAborted()
    const end = Math.min(start + promptStep, tokens.length - 1)
    await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(start, end))
  }
  return last
}

function samplingOptions(sampling: Sampling | undefined, recent: () => Token[]): SequenceEvaluateOptions {
  const { temperature = 0, rngSeed = 0, topK = 40, topP = 0.95, minP = 0, repeatPenalty = 1 } = sampling ?? {}
  return {
    temperature,
    seed: rngSeed,
    topK,
    topP,
    minP,
    ...(repeatPenalty !== 1 && { repeatPenalty: { punishTokens: recent, penalty: repeatPenalty } }),
  }
}
