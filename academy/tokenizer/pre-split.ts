// The pre-tokenizer `gpt-2` as llama.cpp runs it: text is cut into words, and no merge crosses a cut. It is this expression,
//     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// written out by hand because a regular expression keeps a way back for every repetition: ten million letters exhaust its stack.
import { classOf } from './unicode-classes.ts'
import type { CharacterClass } from './unicode-classes.ts'

/** The words of a text in order; together they are the text. */
export function* preSplit(text: string): Generator<string, void, undefined> {
  for (let start = 0; start < text.length;) {
    const end = endOfWord(text, start)
    yield text.slice(start, end)
    start = end
  }
}

function endOfWord(text: string, start: number): number {
  const contraction = contractions.find((ending) => text.startsWith(ending, start))
  if (contraction !== undefined) return start + contraction.length
  // One space goes to the word after it.
  const first = text[start] === ' ' ? start + 1 : start
  const kind = classAt(text, first)
  if (kind !== undefined && kind !== 'space') return endOfRun(text, first, kind)
  const end = endOfRun(text, start, 'space')
  // The last of several spaces is left for the word that follows, whatever kind of space it is.
  return end - start > 1 && end < text.length ? end - 1 : end
}

const contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]

/** Where the run of characters of one class ends that begins at `start`. */
function endOfRun(text: string, start: number, kind: CharacterClass): number {
  let end = start
  while (classAt(text, end) === kind) end += text.codePointAt(end)! > 0xffff ? 2 : 1
  return end
}

/** Undefined at the end of the text. */
function classAt(text: string, index: number): CharacterClass | undefined {
  const codePoint = text.codePointAt(index)
  return codePoint === undefined ? undefined : classOf(codePoint)
}
