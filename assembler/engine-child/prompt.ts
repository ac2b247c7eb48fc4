// A conversation as tokens. A base with a chat template gets the format it was trained on; one without gets plain text to continue.
import { LlamaText, SpecialTokensText } from 'node-llama-cpp'
import type { LlamaModel, Token } from 'node-llama-cpp'
import { MeshError } from '../../protocol/index.ts'
import type { ChatMessage, Prompt } from '../engine-messages.ts'
import type { ChatTemplate } from './chat-template.ts'
import type { LoadedBase } from './loaded-base.ts'

const maxPromptChars = 1 << 20

export interface PromptTokens {
  readonly tokens: Token[]
  /** What ends an answer in this format, besides the model's own end tokens. */
  readonly stopTexts: readonly string[]
}

/** At most `room` tokens: old messages are dropped first (never the system message or the last one), then the front of the text. */
export function promptFor(base: LoadedBase, prompt: Prompt, room: number): PromptTokens {
  if (prompt.kind === 'tokens') return { tokens: cut(base, base.checkTokens(prompt.tokens), room), stopTexts: [] }
  if (prompt.kind === 'text') return plain(base, prompt.text, room)
  const { template } = base
  const format = (messages: readonly ChatMessage[]): PromptTokens =>
    template === undefined
      ? plain(base, messages.map(({ content }) => content).join('\n'), Infinity)
      : formatted(base, template, messages)
  const whole = format(bounded(prompt.messages))
  const fitting = whole.tokens.length > room ? latestThatFit(prompt.messages, format, room) : whole
  return { ...fitting, tokens: cut(base, fitting.tokens, room) }
}

/**
 * The latest turns, as many as fit; the last one in any case. A conversation begins with a question: templates refuse one that begins
 * with an answer. Formatting takes as long as the text is long, so the search starts at the short end instead of dropping turn by turn.
 */
function latestThatFit(
  messages: readonly ChatMessage[],
  format: (messages: readonly ChatMessage[]) => PromptTokens,
  room: number,
): PromptTokens {
  const last = messages.length - 1
  const starts = [...messages.keys()].filter((i) => i === last || messages[i]!.role === 'user').toReversed()
  const from = (start: number): PromptTokens =>
    format(messages.filter(({ role }, i) => role === 'system' || i >= start))
  let fitting = from(last)
  if (fitting.tokens.length > room) return fitting
  for (let fits = 0, tooMany = starts.length, step = 1; tooMany - fits > 1;) {
    const turns = Math.min(fits + step, (fits + tooMany) >> 1)
    const tried = from(starts[turns]!)
    if (tried.tokens.length > room) {
      tooMany = turns
    } else {
      fits = turns
      fitting = tried
      step *= 2
    }
  }
  return fitting
}

/** As a model that has no turns was trained: the text so far, and the answer is how it goes on. */
function plain(base: LoadedBase, text: string, room: number): PromptTokens {
  if (text.length > maxPromptChars) throw tooLong(text.length)
  return { tokens: cut(base, withBos(base, base.model.tokenize(text)), room), stopTexts: [] }
}

function formatted(base: LoadedBase, template: ChatTemplate, messages: readonly ChatMessage[]): PromptTokens {
  const { text, stops } = saidBy(template, messages)
  return {
    tokens: withBos(base, joined(base, text).tokenize(base.model.tokenizer, 'trimLeadingSpace')),
    stopTexts: stops.flatMap(textOf),
  }
}

/**
 * Text of the template that holds no control token becomes one piece with the text beside it: as in the training, where nobody saw the
 * seam, a space may be joined to the word after it. What was said is never read as control tokens.
 */
function joined({ model }: LoadedBase, text: LlamaText): LlamaText {
  const values = text.values.map((value) =>
    value instanceof SpecialTokensText && isPlain(model, value.value) ? value.value : value,
  )
  return new LlamaText(...values)
}

function isPlain(model: LlamaModel, text: string): boolean {
  const [plain, special] = [model.tokenize(text, false), model.tokenize(text, true)]
  return plain.length === special.length && plain.every((token, i) => token === special[i])
}

function saidBy(template: ChatTemplate, messages: readonly ChatMessage[]): ReturnType<ChatTemplate['format']> {
  try {
    return template.format(messages)
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).slice(0, 200)
    const message = `The chat template of this base refuses this conversation: ${reason}`
    throw new MeshError('bad-input', message, { reason }, { cause })
  }
}

/** End tokens (<|im_end|>, EOS) are known to the model as such; what can also appear as plain text has to be watched for. */
function textOf(trigger: LlamaText): string[] {
  const [value, ...others] = trigger.values
  if (others.length > 0) return []
  if (typeof value === 'string') return [value]
  return value instanceof SpecialTokensText ? [value.value] : []
}

function withBos(base: LoadedBase, tokens: Token[]): Token[] {
  const { bos } = base.info
  return bos === undefined || tokens[0] === bos ? tokens : [bos as Token, ...tokens]
}

function cut(base: LoadedBase, tokens: Token[], room: number): Token[] {
  if (tokens.length <= room) return tokens
  const first = tokens[0]
  return first !== undefined && first === base.info.bos ? [first, ...tokens.slice(1 - room)] : tokens.slice(-room)
}

function bounded(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const chars = messages.reduce((sum, { content }) => sum + content.length, 0)
  if (chars > maxPromptChars) throw tooLong(chars)
  return messages
}

function tooLong(chars: number): MeshError {
  return new MeshError('bad-input', `A prompt of ${chars} characters is too long; send at most ${maxPromptChars}.`, {
    chars,
  })
}
