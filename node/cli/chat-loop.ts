// A chat on the terminal: a person is prompted, a script's lines of standard input are messages one by one.
import { z } from 'zod'
import type { HttpClient } from '../http/index.ts'
import type { Terminal } from './terminal.ts'

const answerSchema = z.looseObject({ persona: z.string(), text: z.string(), tokens: z.number(), stop: z.string() })
const textEvent = z.looseObject({ text: z.string() })
const movedEvent = z.looseObject({ to: z.string(), text: z.string() })

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
  const talk: Talk = { ...options, messages }
  if (terminal.interactive) terminal.say('Type a message. Ctrl-D ends the chat.')
  for (;;) {
    const line = await terminal.ask(terminal.interactive ? '> ' : '', signal)
    if (line === undefined) break
    if (line.trim() !== '') await say(talk, line)
  }
  // A person who ends the chat without a word wants no answer; a script without input wants one.
  if (messages.length === 0 && opening !== undefined && !terminal.interactive) await say(talk, opening)
  return messages
}

interface Talk extends Omit<ChatOptions, 'persona'> {
  readonly messages: ChatMessage[]
  /** Changes when a persona that floats was moved on between two turns. */
  persona: string
}

async function say(talk: Talk, content: string): Promise<void> {
  const { client, terminal, signal, messages, persona, maxTokens } = talk
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
      if (event.type === 'persona-moved') tellMoved(movedEvent.parse(event), terminal)
    },
  })
  terminal.stream('\n')
  const { text, persona: answering } = answerSchema.parse(answer)
  messages.push({ role: 'assistant', content: text })
  talk.persona = answering
}

function tellMoved({ to, text }: z.infer<typeof movedEvent>, terminal: Terminal): void {
  terminal.say(`This persona was upgraded and is now ${to}: ${text}.`)
}
