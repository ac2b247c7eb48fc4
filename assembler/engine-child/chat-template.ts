// The chat template of a base is a program (Jinja) from a stranger's file. It is run once while the base is loaded, where a program that
// never ends is stopped by the heartbeat and blamed on the base; one that is too long, or fails, is left alone and plain text is used.
import { resolveChatWrapper } from 'node-llama-cpp'
import type { ChatHistoryItem, ChatWrapper, LlamaModel, LlamaText } from 'node-llama-cpp'
import type { ChatMessage } from '../engine-messages.ts'

const maxTemplateChars = 65_536

export interface ChatTemplate {
  format(messages: readonly ChatMessage[]): { readonly text: LlamaText; readonly stops: readonly LlamaText[] }
}

const sample: readonly ChatMessage[] = [
  { role: 'system', content: 'a' },
  { role: 'user', content: 'b' },
  { role: 'assistant', content: 'c' },
  { role: 'user', content: 'd' },
]

export function chatTemplateOf(model: LlamaModel): ChatTemplate | undefined {
  const source: unknown = model.fileInfo.metadata.tokenizer?.chat_template
  if (typeof source !== 'string' || source.trim() === '' || source.length > maxTemplateChars) return undefined
  try {
    const template = templateOf(
      resolveChatWrapper(model, { warningLogs: false, fallbackToOtherWrappersOnJinjaError: false }),
    )
    template.format(sample)
    return template
  } catch {
    return undefined
  }
}

function templateOf(wrapper: ChatWrapper): ChatTemplate {
  return {
    format(messages) {
      const chatHistory: ChatHistoryItem[] = messages.map(({ role, content }) =>
        role === 'assistant' ? { type: 'model', response: [content] } : { type: role, text: content },
      )
      // An empty answer at the end makes the template open the model's turn.
      const state = wrapper.generateContextState({ chatHistory: [...chatHistory, { type: 'model', response: [] }] })
      return { text: state.contextText, stops: state.stopGenerationTriggers }
    },
  }
}
