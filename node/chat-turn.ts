// One turn of a chat: the conversation so far in, the answer out, as it is written.
import type { ChatMessage, StopReason } from '../assembler/index.ts'
import { assemblePersona } from './assemble-persona.ts'
import type { Node } from './create-node.ts'
import { latestOf } from './float-personas.ts'
import type { PersonaMoved } from './float-personas.ts'

export interface ChatWish {
  /** Absent: the persona made last. One that floats is taken where it has got to; the answer says which that is. */
  readonly persona?: string | undefined
  readonly messages: readonly ChatMessage[]
  readonly maxTokens?: number | undefined
  /** 0: always the most probable token. Default 0.7: small models go round in circles without chance. */
  readonly temperature?: number | undefined
  /** The same seed and conversation give the same answer. Default: the number of messages. */
  readonly rngSeed?: number | undefined
}

/** How a persona talks unless it is told otherwise. */
export const chatSampling = { temperature: 0.7, topP: 0.95, repeatPenalty: 1.1 } as const

export interface ChatAnswer {
  readonly persona: string
  readonly text: string
  readonly tokens: number
  readonly stop: StopReason
}

export async function chatTurn(
  node: Node,
  { persona: name, messages, maxTokens, temperature = chatSampling.temperature, rngSeed = messages.length }: ChatWish,
  signal: AbortSignal,
  onText: (text: string) => void,
  onMoved: (moved: PersonaMoved) => void = () => {},
): Promise<ChatAnswer> {
  const { persona, moved } = await latestOf(node, name)
  if (moved !== undefined) onMoved(moved)
  const { adapters, base } = await assemblePersona(node, persona, signal)
  // System prompts of publishers stay out: text of strangers is never silently an instruction.
  const answer = await node.engine.chat({ adapters }, messages, {
    signal,
    forBase: { path: base.path, sha256: base.file },
    sampling: { ...chatSampling, temperature, rngSeed },
    onToken: onText,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  })
  return { persona: persona.id, text: answer.text, tokens: answer.tokens.length, stop: answer.stop }
}
