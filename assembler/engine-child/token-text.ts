// Tokens to text, piece by piece: a character may be spread over several byte tokens, and only then is it text.
import type { LlamaModel, Token } from 'node-llama-cpp'

const replacement = '\uFFFD'
/** The longest UTF-8 character has four bytes; after that it is rubbish and shown as such. */
const longestCharacter = 4
/** Whether a token starts with a space depends on what stood before. */
const lookBehind = 4

export interface TokenText {
  /** The text that is complete with this token, often '' for a byte token. */
  add(token: Token): string
  rest(): string
}

export function tokenText(model: LlamaModel, before: readonly Token[]): TokenText {
  let behind = before.slice(-lookBehind)
  let pending: Token[] = []
  const take = (): string => {
    const text = model.detokenize(pending, false, behind)
    behind = [...behind, ...pending].slice(-lookBehind)
    pending = []
    return text
  }
  return {
    add(token) {
      pending.push(token)
      const complete =
        pending.length >= longestCharacter || !model.detokenize(pending, false, behind).endsWith(replacement)
      return complete ? take() : ''
    },
    rest: () => (pending.length > 0 ? take() : ''),
  }
}
