// NLL over what people have: passages with tokens, or a text file.
import { z } from 'zod'
import { MeshError } from '../protocol/index.ts'
import type { AskOptions, Engine, ScaledAdapter } from './ports.ts'
import type { EngineBase, Score } from './engine-messages.ts'

export interface Passage {
  /** BOS included; tokens 2..n are predicted. */
  readonly tokens: readonly number[]
  readonly text?: string | undefined
}

const maxTextBytes = 8 * 1024 * 1024
const passage = z.object({ tokens: z.array(z.int().min(0)).min(2), text: z.string().optional() })
const passagesFile = z.union([z.array(passage).min(1), z.object({ passages: z.array(passage).min(1) })])

/** A list of passages, or an object with one under `passages`. Throws `bad-input` naming the place. */
export function parsePassages(json: string): Passage[] {
  const result = passagesFile.safeParse(parseJson(json))
  if (!result.success) {
    throw new MeshError(
      'bad-input',
      `This is no file of passages [{"text": ..., "tokens": [...]}]: ${z.prettifyError(result.error)}`,
    )
  }
  return Array.isArray(result.data) ? result.data : result.data.passages
}

export async function nllOfPassages(
  engine: Engine,
  adapters: readonly ScaledAdapter[],
  passages: readonly Passage[],
  options?: AskOptions,
): Promise<Score> {
  return engine.nll(
    adapters,
    passages.map(({ tokens }) => tokens),
    options,
  )
}

/** In windows of the context size, each with BOS in front where the base wants it, so that every token of the text is predicted once. */
export async function nllOfText(
  engine: Engine,
  base: Pick<EngineBase, 'bos' | 'contextSize'>,
  adapters: readonly ScaledAdapter[],
  text: string,
  options?: AskOptions,
): Promise<Score> {
  if (text.length > maxTextBytes) {
    throw new MeshError('bad-input', `The text is longer than ${maxTextBytes} characters; use a part of it.`, {
      chars: text.length,
    })
  }
  const windows = windowsOf(await engine.tokenize(text, options), base)
  if (windows.length === 0) throw new MeshError('bad-input', 'The text is too short: there is nothing to predict.')
  return engine.nll(adapters, windows, options)
}

export function windowsOf(
  tokens: readonly number[],
  { bos, contextSize }: Pick<EngineBase, 'bos' | 'contextSize'>,
): number[][] {
  const front = bos === undefined ? [] : [bos]
  const step = contextSize - front.length
  const windows: number[][] = []
  for (let start = 0; start < tokens.length; start += step)
    windows.push([...front, ...tokens.slice(start, start + step)])
  return windows.filter(({ length }) => length >= 2)
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new MeshError('bad-input', 'The file of passages is no JSON.', {}, { cause })
  }
}
