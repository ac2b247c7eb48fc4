// A chat on the terminal: a person is prompted, a script's lines of standard input are messages one by one.
import { z } from 'zod'
import type { HttpClient } from '../http/index.ts'
import type { Terminal } from './terminal.ts'

const answerSchema = z.looseObject({ persona: z.string(), text: z.string(), tokens: z.number(), stop: z.string() })
const textEvent = z.looseObject({ text: z.string() })

export interface ChatMessage {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

export interface ChatOptions {
  readonly client: HttpClient
  readonly terminal: Terminal
  readonly signal: AbortSignal
  readonly persona: string
  /** What a script says that says nothing itself. */
  readonly opening?: string | undefined
  readonly maxTokens?: number | undefined
}

/** Everything that was said. */
export async function chatLoop(options: ChatOptions): Promise<readonly ChatMessage[]> {
  const { terminal, signal, opening } = options
  const messages: ChatMessage[] = []
  if (terminal.interactive) terminal.say('Type a message. Ctrl-D ends the chat.')
  for (;;) {
    const line = await terminal.ask(terminal.interactive ? '> ' : '', signal)
    if (line === undefined) break
    if (line.trim() !== '') await say(options, messages, line)
  }
  // A person who ends the chat without a word wants no answer; a script without input wants one.
  if (messages.length === 0 && opening !== undefined && !terminal.interactive) await say(options, messages, opening)
  return messages
}

async function say(
  { client, terminal, signal, persona, maxTokens }: ChatOptions,
  messages: ChatMessage[],
  content: string,
): Promise<void> {
  messages.push({ role: 'user', content })
  const wish = {
    messages,
    persona,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  }
  const answer = await client.call('POST', '/v1/chat', wish, {
    signal,
    onEvent(event) {
      if (event.type === 'text') terminal.stream(textEvent.parse(event).text)
    },
  })
  terminal.stream('\n')
  messages.push({ role: 'assistant', content: answerSchema.parse(answer).text })
}
