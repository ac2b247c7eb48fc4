import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { kit } from '../testing/kit.ts'
import { createEngine } from './index.ts'
import type { Engine, EngineState, ModelFile, ScaledAdapter } from './index.ts'

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  )

function modelFile(path: string): ModelFile {
  return { path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }
}
const kitFile = (...parts: string[]): ModelFile => modelFile(kit.path(...parts))
const hostile = (name: string): ScaledAdapter => ({ ...kitFile('hostile', 'gguf', name), scale: 1 })

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function pidOf(engine: Engine): number {
  if (engine.state.kind !== 'running') throw new Error(`The engine is ${engine.state.kind}.`)
  return engine.state.pid
}

/** An engine with stories260K in it that is gone after the test. */
async function storyEngine(options: Parameters<typeof createEngine>[0] = {}): Promise<Engine> {
  const engine = createEngine(options)
  onTestFinished(async () => await engine[Symbol.asyncDispose]())
  await engine.load(kitFile('models', 'stories260K.gguf'))
  return engine
}

interface Expected {
  greedy: { base: { prompt: string; prompt_tokens: number[]; greedy_tokens: number[]; text: string } }
  next_token_logits: { prompt_tokens: number[]; top8: [number, number][]; tolerance: number }
}
interface Passage {
  text: string
  tokens: number[]
}
const readJson = <T>(...parts: string[]): T => JSON.parse(readFileSync(kit.path(...parts), 'utf8')) as T

test('an engine without a base says what to do, and starts nothing', async () => {
  await using engine = createEngine()
  expect(await failure(engine.tokenize('x'))).toMatchObject({ code: 'base-missing' })
  expect(engine.state).toEqual({ kind: 'not-started' })
})

describe.skipIf(!kit.present)('the engine on stories260K (needs the kit)', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = createEngine()
    await engine.load(kitFile('models', 'stories260K.gguf'))
  })
  afterAll(async () => await engine[Symbol.asyncDispose]())

  test('describes the base', async () => {
    expect(await engine.load(kitFile('models', 'stories260K.gguf'))).toEqual({
      architecture: 'llama',
      vocabulary: 512,
      contextSize: 512,
      bos: 1,
      chatTemplate: false,
    })
  })

  test.for([
    ['shakespeare', 5.269984, 2880],
    ['recipes', 6.269495, 2926],
  ] as const)('gives the reference NLL of the base on %s', async ([corpus, nll, tokens]) => {
    const passages = readJson<Passage[]>('adapters', 'heldout', `${corpus}.json`)
    const score = await engine.nll(
      [],
      passages.map(({ tokens }) => tokens),
    )
    expect(score.tokens).toBe(tokens)
    expect(Math.abs(score.meanNll - nll)).toBeLessThan(1e-3)
  })

  test('counts only the tokens it was asked to predict', async () => {
    const { greedy } = readJson<Expected>('models', 'expected.json')
    const tokens = [...greedy.base.prompt_tokens, ...greedy.base.greedy_tokens]
    const [whole, half] = await Promise.all([engine.nll([], [tokens]), engine.nll([], [tokens], { predicted: [48] })])
    expect([whole.tokens, half.tokens]).toEqual([52, 48])
    const rows = await engine.logProbabilities([], tokens)
    const by = (from: number): number =>
      tokens.slice(from).reduce((sum, token, i) => sum - (rows[from - 1 + i]?.[token] ?? NaN), 0) /
      (tokens.length - from)
    expect(Math.abs(whole.meanNll - by(1))).toBeLessThan(1e-5)
    expect(Math.abs(half.meanNll - by(5))).toBeLessThan(1e-5)
  })

  test('gives whole distributions whose ratios are those of the reference logits', async () => {
    const { next_token_logits: expected } = readJson<Expected>('models', 'expected.json')
    const row = (await engine.logProbabilities([], expected.prompt_tokens)).at(-1) ?? new Float32Array()
    expect(row.length).toBe(512)
    expect(Math.abs(row.reduce((sum, logp) => sum + Math.exp(logp), 0) - 1)).toBeLessThan(1e-4)
    const [[top, topLogit] = [0, 0]] = expected.top8
    for (const [token, logit] of expected.top8) {
      expect(Math.abs((row[top] ?? 0) - (row[token] ?? 0) - (topLogit - logit))).toBeLessThan(expected.tolerance)
    }
  })

  test('continues greedily with the 48 reference tokens, streaming exactly the text it returns', async () => {
    const { base } = readJson<Expected>('models', 'expected.json').greedy
    let streamed = ''
    const prompt = { kind: 'text', text: base.prompt } as const
    const { tokens, text, stop, promptTokens } = await engine.generate([], prompt, {
      maxTokens: 48,
      onToken: (text) => (streamed += text),
    })
    expect(tokens).toEqual(base.greedy_tokens)
    expect({ text, streamed, stop, promptTokens }).toEqual({
      text: base.text,
      streamed: base.text,
      stop: 'max-tokens',
      promptTokens: base.prompt_tokens.length,
    })
  })

  test('a chat always ends, and its second turn reads only what is new', async () => {
    const hello = [{ role: 'user', content: 'Once upon a time' }] as const
    const first = await engine.chat({ adapters: [] }, hello, { maxTokens: 1000 })
    expect(['end', 'context-full', 'repetition']).toContain(first.stop)
    const longer = [
      ...hello,
      { role: 'assistant', content: first.text.slice(0, 60) },
      { role: 'user', content: 'Tim' },
    ] as const
    const second = await engine.chat({ adapters: [] }, longer, { maxTokens: 5 })
    expect(second.reusedTokens).toBeGreaterThanOrEqual(first.promptTokens)
  })

  test('the same seed gives the same words, another seed others', async () => {
    const say = async (rngSeed: number): Promise<string> => {
      const sampling = { temperature: 1, rngSeed, topK: 0, topP: 1 }
      return (await engine.generate([], { kind: 'text', text: 'One day' }, { maxTokens: 20, sampling })).text
    }
    const [one, again, other] = [await say(1), await say(1), await say(2)]
    expect(again).toBe(one)
    expect(other).not.toBe(one)
  })

  test('what stood in the context before never changes an answer', async () => {
    const ask = async (text: string): Promise<number[]> => [
      ...(await engine.generate([], { kind: 'text', text }, { maxTokens: 12 })).tokens,
    ]
    const fresh = await ask('The big dog')
    await ask('The big dog was happy and')
    await ask('Something else')
    expect(await ask('The big dog')).toEqual(fresh)
  })

  test('a prompt longer than the context keeps its end, a conversation its system message and last words', async () => {
    const text = 'Lily and Tom went to the park. '.repeat(100)
    const cut = await engine.generate([], { kind: 'text', text }, { maxTokens: 16 })
    expect(cut.promptTokens).toBe(512 - 16)
    const turns = Array.from(
      { length: 50 },
      (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: text.slice(0, 200) }) as const,
    )
    const chat = await engine.chat({ adapters: [], systemPrompt: 'Stories.' }, turns, { maxTokens: 16 })
    expect(chat.promptTokens).toBeLessThanOrEqual(512 - 16)
    expect(chat.promptTokens).toBeGreaterThan(200)
  })

  test('stop texts end an answer and are not shown', async () => {
    let streamed = ''
    const answer = await engine.generate(
      [],
      { kind: 'text', text: 'Once upon a time' },
      {
        stopTexts: ['named Lily'],
        onToken: (text) => (streamed += text),
      },
    )
    expect(answer).toMatchObject({ text: ', there was a little girl ', stop: 'stop-text' })
    expect(streamed).toBe(answer.text)
  })

  test('tokens that the vocabulary does not have are refused, not looked up', async () => {
    for (const token of [512, -1, 1.5, NaN, 2 ** 31]) {
      expect(await failure(engine.nll([], [[1, token, 3]]))).toMatchObject({ code: 'bad-input' })
    }
    expect(await failure(engine.nll([], [[1]]))).toMatchObject({ code: 'bad-input' })
    expect(await failure(engine.nll([], [Array.from({ length: 600 }, () => 5)]))).toMatchObject({ code: 'bad-input' })
  })

  test('an abort stops the words at once and leaves the engine in order', async () => {
    const pid = pidOf(engine)
    const abort = new AbortController()
    const words = engine.generate(
      [],
      { kind: 'text', text: 'Once' },
      { signal: abort.signal, onToken: () => abort.abort() },
    )
    expect(await failure(words)).toMatchObject({ code: 'aborted' })
    expect((await engine.generate([], { kind: 'text', text: 'Once' }, { maxTokens: 3 })).tokens.length).toBe(3)
    expect(pidOf(engine)).toBe(pid)
  })

  test('progress is told sequence by sequence', async () => {
    const seen: number[] = []
    await engine.nll(
      [],
      [
        [1, 403, 407],
        [1, 261, 378],
      ],
      { onProgress: ({ done }) => seen.push(done) },
    )
    expect(seen).toEqual([1, 2])
  })
})

describe.skipIf(!kit.present)('model files that are not what they should be (needs the kit)', () => {
  test.for([
    ['a LoRA as base', kit.path('hostile', 'gguf', 'ok_q_v.gguf'), 'gguf-refused'],
    ['a page of HTML as base', kit.path('hostile', 'gguf', 'html.gguf'), 'gguf-refused'],
    ['a file that is not there', '/nowhere/at/all.gguf', 'not-found'],
  ] as const)('%s is refused by name, without its folder', async ([, path, code]) => {
    await using engine = createEngine()
    const error = await failure(engine.load({ path, sha256: 'x' }))
    expect(error).toMatchObject({ code })
    expect(JSON.stringify(error)).not.toMatch(/\/(nowhere|hostile|work|home)/)
  })

  test('adapters that the engine refuses or that turn every number into NaN are refused, and it goes on', async () => {
    const engine = await storyEngine()
    const pid = pidOf(engine)
    expect(await failure(engine.nll([hostile('arch_other.gguf')], [[1, 403]]))).toMatchObject({
      code: 'gguf-refused',
      message: expect.stringContaining('arch mismatch'),
    })
    expect(await failure(engine.nll([hostile('weights_one_nan.gguf')], [[1, 403]]))).toMatchObject({
      code: 'not-finite',
    })
    expect(await engine.nll([hostile('ok_q_v.gguf')], [[1, 403]])).toMatchObject({ tokens: 1 })
    expect(pidOf(engine)).toBe(pid)
  })

  // One that fails an assertion while the file is read, one while its shapes are used.
  test.for(['alpha_f64.gguf', 'dims3.gguf'])(
    '%s kills the engine: told, survived, and after the third time not tried again',
    async (name) => {
      const engine = await storyEngine()
      const killer = hostile(name)
      const ask = (adapters: ScaledAdapter[]): Promise<unknown> => failure(engine.nll(adapters, [[1, 403, 407]]))
      for (let time = 1; time <= 2; time++) {
        expect(await ask([killer])).toMatchObject({
          code: 'child-crashed',
          message: expect.stringMatching(/SIGABRT.*GGML_ASSERT/),
          details: { file: name, sha256: killer.sha256, signal: 'SIGABRT' },
        })
        expect(await ask([])).toMatchObject({ tokens: 2 })
      }
      expect(await ask([killer])).toMatchObject({ code: 'quarantined', details: { blame: killer.sha256 } })
      expect(await ask([])).toMatchObject({ tokens: 2 })
      const pid = pidOf(engine)
      expect(await ask([hostile('ok_q_v.gguf'), killer])).toMatchObject({ code: 'quarantined' })
      expect(await ask([hostile('ok_q_v.gguf')])).toMatchObject({ tokens: 2 })
      expect(pidOf(engine)).toBe(pid)
    },
  )
})

describe.skipIf(!kit.present)('the engine process (needs the kit)', () => {
  test('a kill in the middle of an answer is told, and the next request is answered by a fresh process', async () => {
    const states: EngineState['kind'][] = []
    const engine = await storyEngine({ onState: ({ kind }) => states.push(kind) })
    const pid = pidOf(engine)
    const words = engine.generate(
      [],
      { kind: 'text', text: 'Once' },
      { maxTokens: 400, onToken: () => process.kill(pid, 'SIGKILL') },
    )
    expect(await failure(words)).toMatchObject({ code: 'child-crashed', details: { signal: 'SIGKILL' } })
    const { base } = readJson<Expected>('models', 'expected.json').greedy
    const again = await engine.generate([], { kind: 'text', text: base.prompt }, { maxTokens: 48 })
    expect(again.tokens).toEqual(base.greedy_tokens)
    expect(pidOf(engine)).not.toBe(pid)
    expect(states).toEqual(['running', 'backing-off', 'starting', 'running'])
  })

  test('another base gets a process of its own', async () => {
    const engine = await storyEngine()
    const pid = pidOf(engine)
    expect(await engine.load(kitFile('models', 'tiny-qwen2.gguf'))).toMatchObject({ architecture: 'qwen2' })
    expect(pidOf(engine)).not.toBe(pid)
    expect(alive(pid)).toBe(false)
  })

  test('twenty adapters one after the other stay within the memory they may use', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-engine-'))
    onTestFinished(async () => await rm(folder, { recursive: true }))
    const { path, sha256 } = kitFile('hostile', 'gguf', 'ok_q_v.gguf')
    const bytes = readFileSync(path).length
    const pids = new Set<number>()
    const engine = await storyEngine({ adapterBudgetBytes: 8 * bytes })
    for (let i = 0; i < 20; i++) {
      const copy = join(folder, `${i}.gguf`)
      await copyFile(path, copy)
      await engine.nll([{ path: copy, sha256: `${sha256}${i}`, scale: 1 }], [[1, 403, 407]])
      pids.add(pidOf(engine))
    }
    expect(pids.size).toBe(3)
  })

  test('dispose leaves no process, also in the middle of an answer, and may be called twice', async () => {
    const engine = await storyEngine()
    const pid = pidOf(engine)
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const words = failure(
      engine.generate([], { kind: 'text', text: 'Once' }, { maxTokens: 400, onToken: () => begin() }),
    )
    await begun
    await Promise.all([engine[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()])
    expect(alive(pid)).toBe(false)
    expect(await words).toMatchObject({ code: 'aborted' })
    expect(await failure(engine.tokenize('x'))).toMatchObject({ code: 'aborted' })
  })
})
