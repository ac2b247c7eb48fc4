// User-defined tokens (type 4) are cut out of a text before anything else, even where control tokens are plain text, as llama.cpp does it:
// the longest first, each wherever it still fits. Vocabularies that are trained here have none; bases of others may.
import { tokenType } from './vocabulary.ts'
import type { ByteLevelVocabulary } from './vocabulary.ts'

/** Text that is still to be split into words, or a token's id. */
export type Fragment = string | number

interface UserDefined {
  readonly id: number
  readonly text: string
}

/** Longest in UTF-8 bytes first, then the smaller id. Where two of one length overlap in a text, llama.cpp's choice isn't defined. */
export function userDefinedTokens(vocabulary: ByteLevelVocabulary): readonly UserDefined[] {
  return vocabulary.tokens
    .map((text, id) => ({ id, text, bytes: Buffer.byteLength(text) }))
    .filter(({ id, text }) => vocabulary.types[id] === tokenType.userDefined && text !== '')
    .toSorted((one, other) => other.bytes - one.bytes || one.id - other.id)
}

export function cutOut(text: string, tokens: readonly UserDefined[]): readonly Fragment[] {
  let fragments: Fragment[] = [text]
  for (const token of tokens) {
    fragments = fragments.flatMap((fragment) => (typeof fragment === 'number' ? fragment : separate(fragment, token)))
  }
  return fragments
}

function separate(text: string, token: UserDefined): Fragment[] {
  return text.split(token.text).flatMap((part, index) => (index === 0 ? [part] : [token.id, part]))
}
