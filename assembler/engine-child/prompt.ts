// A conversation as tokens. A base with a chat template gets the format it was trained on; one without gets plain text to continue.
import { SpecialTokensText } from 'node-llama-cpp'
import type { LlamaText, Token } from 'node-llama-cpp'
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
  let messages = [...prompt.messages]
  let whole = format(bounded(messages))
  while (whole.tokens.length > room) {
    const oldest = messages.findIndex(({ role }, index) => role !== 'system' && index < messages.length - 1)
    if (oldest < 0) break
    messages = messages.toSpliced(oldest, 1)
    whole = format(messages)
  }
  return { ...whole, tokens: cut(base, whole.tokens, room) }
}

/** As a model that has no turns was trained: the text so far, and the answer is how it goes on. */
function plain(base: LoadedBase, text: string, room: number): PromptTokens {
  if (text.length > maxPromptChars) throw tooLong(text.length)
  return { tokens: cut(base, withBos(base, base.model.tokenize(text)), room), stopTexts: [] }
}

function formatted(base: LoadedBase, template: ChatTemplate, messages: readonly ChatMessage[]): PromptTokens {
  const { text, stops } = template.format(messages)
  return {
    tokens: withBos(base, text.tokenize(base.model.tokenizer, 'trimLeadingSpace')),
    stopTexts: stops.flatMap(textOf),
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
