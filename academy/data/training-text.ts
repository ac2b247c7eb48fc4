// Training data as people write it. JSON lines of {"prompt", "answer"}: the answer is learnt, the prompt only read. JSON lines of {"text"},
// or a plain text: everything is learnt. A bad line is refused with its number before anything is computed.
import { z } from 'zod'
import { MeshError } from '../../protocol/index.ts'
import type { TextTokenizer } from '../ports.ts'
import type { Example } from '../training/examples.ts'

export type TrainingDocument =
  | { readonly kind: 'question'; readonly prompt: string; readonly answer: string; readonly line: number }
  | { readonly kind: 'text'; readonly text: string; readonly line: number }

const lineSchema = z.union([
  z.strictObject({ prompt: z.string().regex(/\S/), answer: z.string().regex(/\S/) }),
  z.strictObject({ text: z.string().regex(/\S/) }),
])
const forms = 'write {"prompt": "...", "answer": "..."} or {"text": "..."}, with something in each'

/** Throws `bad-input` with the number of the first bad line. Empty lines are skipped. `name` is what the user calls the data. */
export function parseTrainingData(text: string, form: 'jsonl' | 'txt', name: string): TrainingDocument[] {
  const documents: TrainingDocument[] =
    form === 'txt'
      ? [{ kind: 'text', text, line: 1 } as const].filter(({ text }) => text.trim() !== '')
      : text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [parseLine(line, index + 1, name)]))
  if (documents.length === 0) throw new MeshError('bad-input', `${name} is empty: there is nothing to learn from.`)
  return documents
}

function parseLine(line: string, number: number, name: string): TrainingDocument {
  const where = `${name}, line ${number}`
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new MeshError('bad-input', `${where} is no JSON: ${forms}.`, { line: number }, { cause })
  }
  const result = lineSchema.safeParse(value)
  if (!result.success) throw new MeshError('bad-input', `${where}: ${forms}.`, { line: number })
  return 'text' in result.data
    ? { kind: 'text', text: result.data.text, line: number }
    : { kind: 'question', ...result.data, line: number }
}

export interface ReadingBase {
  readonly tokenizer: TextTokenizer
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** Most tokens of an example that the network reads. */
  readonly contextLength: number
  /** Texts are cut into pieces of so many tokens; default: as long as the context. */
  readonly textTokens?: number | undefined
}

/**
 * Token ids with BOS and EOS. A question and its answer are one example; a text longer than the context is cut into several.
 * Throws `bad-input` with the line of a question that is too long.
 */
export async function examplesOf(
  documents: readonly TrainingDocument[],
  base: ReadingBase,
  name: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Example[]> {
  const examples: Example[] = []
  for (const document of documents) {
    options.signal?.throwIfAborted()
    const found =
      document.kind === 'text'
        ? await textExamples(document.text, base, options)
        : [await questionExample(document, base, name, options)]
    for (const example of found) if (example.tokens.length > example.predictFrom) examples.push(example)
  }
  if (examples.length === 0)
    throw new MeshError('bad-input', `${name} has nothing to predict: its texts are too short.`)
  return examples
}

/**
 * Spaces at the seam belong to the answer, as in running text, where most tokenizers join them to the word that follows: the same rule
 * by which a suite is asked. Where both together are split otherwise than the prompt alone, the answer begins at the first token that differs.
 */
async function questionExample(
  { prompt, answer, line }: Extract<TrainingDocument, { kind: 'question' }>,
  { tokenizer, bos, eos, contextLength }: ReadingBase,
  name: string,
  options: { readonly signal?: AbortSignal },
): Promise<Example> {
  const asked = withoutBlanksBehind(prompt)
  const seam = /\s$/.test(asked) || /^\s/.test(answer) ? '' : ' '
  const question = await tokenizer.encode(asked, options)
  const whole = await tokenizer.encode(asked + seam + answer.trimEnd(), options)
  const differ = whole.findIndex((token, index) => token !== question[index])
  const front = bos === undefined ? [] : [bos]
  const tokens = Int32Array.from([...front, ...whole, ...(eos === undefined ? [] : [eos])])
  if (tokens.length - 1 > contextLength) {
    throw new MeshError(
      'bad-input',
      `${name}, line ${line} has ${tokens.length - 1} tokens to read; this base reads at most ${contextLength}. Shorten it.`,
      { line, tokens: tokens.length - 1 },
    )
  }
  return { tokens, predictFrom: Math.max(1, front.length + differ) }
}

/** By hand: a regular expression takes the square of the time for a long run of blanks inside the text. */
function withoutBlanksBehind(text: string): string {
  let end = text.length
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--
  return text.slice(0, end)
}

async function textExamples(
  text: string,
  { tokenizer, bos, eos, contextLength, textTokens = contextLength }: ReadingBase,
  options: { readonly signal?: AbortSignal },
): Promise<Example[]> {
  const tokens = [...(await tokenizer.encode(text, options)), ...(eos === undefined ? [] : [eos])]
  // A window begins with BOS or, without one, with the last token of the window before: every token is predicted once.
  const first = bos === undefined ? 1 : 0
  const examples: Example[] = []
  for (let start = first; start < tokens.length; start += textTokens) {
    const before = bos ?? tokens[start - 1]!
    examples.push({ tokens: Int32Array.of(before, ...tokens.slice(start, start + textTokens)), predictFrom: 1 })
  }
  return examples
}
