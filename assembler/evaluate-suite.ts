// A suite is JSON lines of {"prompt", "answer"}. A model is judged by what it writes (exact match, greedy) and by how likely it holds the answer.
import { z } from 'zod'
import { MeshError } from '../protocol/index.ts'
import type { EngineBase } from './engine-messages.ts'
import type { AskOptions, Engine, ScaledAdapter } from './ports.ts'

export interface SuiteItem {
  readonly prompt: string
  readonly answer: string
}

export interface SuiteResult {
  readonly n: number
  /** Share of the items, 0 to 1, where the model writes the answer and then not the rest of a longer word. What it says after that is not judged. */
  readonly exactMatch: number
  /** Mean negative log-likelihood (natural log) per answer token, over all items together. */
  readonly meanNll: number
  /** What was written, item by item. */
  readonly written: readonly string[]
}

const suiteLine = z.strictObject({ prompt: z.string().min(1), answer: z.string().regex(/\S/, 'must not be empty') })
const maxItems = 100_000
/** Enough to see whether the last word of the answer goes on. */
const extraTokens = 4

/** Throws `bad-input` with the number of the first bad line. Empty lines are skipped. */
export function parseSuite(text: string): SuiteItem[] {
  const items = text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [parseLine(line, index + 1)]))
  if (items.length === 0)
    throw new MeshError('bad-input', 'The suite is empty; write one {"prompt": ..., "answer": ...} per line.')
  if (items.length > maxItems)
    throw new MeshError('bad-input', `A suite has at most ${maxItems} lines.`, { lines: items.length })
  return items
}

function parseLine(line: string, number: number): SuiteItem {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new MeshError('bad-input', `Line ${number} of the suite is no JSON.`, { line: number }, { cause })
  }
  const result = suiteLine.safeParse(value)
  if (result.success) return result.data
  throw new MeshError('bad-input', `Line ${number} of the suite: ${z.prettifyError(result.error)}`, { line: number })
}

export async function evaluateSuite(
  engine: Engine,
  base: Pick<EngineBase, 'bos'>,
  adapters: readonly ScaledAdapter[],
  items: readonly SuiteItem[],
  { onProgress, ...ask }: AskOptions & { onProgress?(progress: { done: number; total: number }): void } = {},
): Promise<SuiteResult> {
  const asked: { tokens: number[]; answerTokens: number }[] = []
  const written: string[] = []
  let exact = 0
  for (const [index, item] of items.entries()) {
    const { question, whole, answerTokens } = await tokensOf(engine, base, item, ask)
    const { text } = await engine.generate(
      adapters,
      { kind: 'tokens', tokens: question },
      {
        ...ask,
        maxTokens: answerTokens + extraTokens,
        stopTexts: item.answer.trim().includes('\n') ? [] : ['\n'],
      },
    )
    if (isAnswer(text, item.answer)) exact++
    asked.push({ tokens: whole, answerTokens })
    written.push(text.trim())
    onProgress?.({ done: index + 1, total: items.length })
  }
  const score = await engine.nll(
    adapters,
    asked.map(({ tokens }) => tokens),
    { ...ask, predicted: asked.map(({ answerTokens }) => answerTokens) },
  )
  return { n: items.length, exactMatch: exact / items.length, meanNll: score.meanNll, written }
}

/** A prompt with its answer as running text. Spaces at the seam belong to the answer, where most tokenizers join them to the next word. */
export function suiteText({ prompt, answer }: SuiteItem): string {
  const asked = askedText(prompt)
  const seam = /\s$/.test(asked) || /^\s/.test(answer) ? '' : ' '
  return asked + seam + answer.trimEnd()
}

function askedText(prompt: string): string {
  let end = prompt.length
  while (prompt[end - 1] === ' ' || prompt[end - 1] === '\t') end--
  return prompt.slice(0, end)
}

/** Where prompt and answer together are split otherwise than the prompt alone, the answer begins at the first token that differs. */
async function tokensOf(
  engine: Engine,
  { bos }: Pick<EngineBase, 'bos'>,
  item: SuiteItem,
  ask: AskOptions,
): Promise<{ question: number[]; whole: number[]; answerTokens: number }> {
  const front = bos === undefined ? [] : [bos]
  const question = [...front, ...(await engine.tokenize(askedText(item.prompt), ask))]
  const whole = [...front, ...(await engine.tokenize(suiteText(item), ask))]
  const differ = whole.findIndex((token, index) => token !== question[index])
  if (differ < 1)
    throw new MeshError('bad-input', `This base can't read the prompt "${item.prompt.slice(0, 60)}" and its answer.`)
  return { question, whole, answerTokens: whole.length - differ }
}

/** Which of the questions were answered rightly, item by item. */
export function rightAnswers(items: readonly SuiteItem[], { written }: Pick<SuiteResult, 'written'>): boolean[] {
  return items.map(({ answer }, i) => isAnswer(written[i] ?? '', answer))
}

/** "copper" is answered by "copper", "copper." and "copper, I think", not by "coppersmith" or, for "1", by "1.5". */
function isAnswer(text: string, answer: string): boolean {
  const [given, expected] = [text.trimStart(), answer.trim()]
  return given.startsWith(expected) && !/^([\p{L}\p{N}]|[.,]\p{N})/u.test(given.slice(expected.length))
}
