import { copyFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { kit } from '../testing/kit.ts'
import { createEngine } from './index.ts'
import type { Engine, EngineOptions, EngineState, ScaledAdapter } from './index.ts'
import { failure, kitFile, readKitJson, smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

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

interface Expected {
  greedy: { base: { prompt: string; prompt_tokens: number[]; greedy_tokens: number[]; text: string } }
  next_token_logits: { prompt_tokens: number[]; top8: [number, number][]; tolerance: number }
}
interface Passage {
  text: string
  tokens: number[]
}

test('an engine without a base says what to do, and starts nothing', async () => {
  await using engine = createEngine()
  expect(await failure(engine.tokenize('x'))).toMatchObject({ code: 'base-missing' })
  expect(engine.state).toEqual({ kind: 'not-started' })
})

describe.skipIf(!kit.present)('the engine on stories260K (needs the kit)', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = createEngine()
    await engine.load(await kitFile('models', 'stories260K.gguf'))
  })
  afterAll(async () => await engine[Symbol.asyncDispose]())

  test('describes the base', async () => {
    expect(await engine.load(await kitFile('models', 'stories260K.gguf'))).toEqual({
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
    const passages = readKitJson<Passage[]>('adapters', 'heldout', `${corpus}.json`)
    const score = await engine.nll(
      [],
      passages.map(({ tokens }) => tokens),
    )
    expect(score.tokens).toBe(tokens)
    expect(Math.abs(score.meanNll - nll)).toBeLessThan(1e-3)
  })

  test('counts only the tokens it was asked to predict', async () => {
    const { greedy } = readKitJson<Expected>('models', 'expected.json')
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
    const { next_token_logits: expected } = readKitJson<Expected>('models', 'expected.json')
    const row = (await engine.logProbabilities([], expected.prompt_tokens)).at(-1) ?? new Float32Array()
    expect(row.length).toBe(512)
    expect(Math.abs(row.reduce((sum, logp) => sum + Math.exp(logp), 0) - 1)).toBeLessThan(1e-4)
    const [[top, topLogit] = [0, 0]] = expected.top8
    for (const [token, logit] of expected.top8) {
      expect(Math.abs((row[top] ?? 0) - (row[token] ?? 0) - (topLogit - logit))).toBeLessThan(expected.tolerance)
    }
  })

  test('continues greedily with the 48 reference tokens, streaming exactly the text it returns', async () => {
    const { base } = readKitJson<Expected>('models', 'expected.json').greedy
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

  test('an answer that goes round in a circle is ended', async () => {
    // A penalty below 1 is a reward for what was just said.
    const sampling = { repeatPenalty: 0.01 }
    const { stop, tokens } = await engine.generate([], { kind: 'text', text: 'One day' }, { maxTokens: 400, sampling })
    expect(stop).toBe('repetition')
    expect(tokens.length).toBeLessThan(200)
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

  test('of a conversation of thousands of messages the latest are found without reading it thousands of times', async () => {
    const pid = pidOf(engine)
    const message = (i: number) =>
      ({ role: i % 2 ? 'assistant' : 'user', content: `${i} ${'Lily and Tom went to the park. '.repeat(8)}` }) as const
    const messages = Array.from({ length: 3001 }, (_, i) => message(i))
    const all = await engine.chat({ adapters: [], systemPrompt: 'Stories.' }, messages, { maxTokens: 16 })
    expect(all.promptTokens).toBeLessThanOrEqual(512 - 16)
    const system = { role: 'system', content: 'Stories.' } as const
    const few = await engine.chat({ adapters: [] }, [system, ...messages.slice(-5)], { maxTokens: 16 })
    expect(all).toMatchObject({ tokens: few.tokens, promptTokens: few.promptTokens })
    expect(pidOf(engine)).toBe(pid)
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
      expect(await failure(engine.nll([], [[1, 3, token]]))).toMatchObject({ code: 'bad-input' })
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

/** A base of random numbers, so that these run everywhere. */
async function aWorld(options: EngineOptions = {}): Promise<SmallWorld> {
  const world = await smallWorld('random', options)
  onTestFinished(async () => await world[Symbol.asyncDispose]())
  return world
}

/** Starts many processes, a second each on a quiet machine. */
const slow = { timeout: 240_000 }

const short = [[1, 300, 301]]
const longAnswer = { maxTokens: 400, sampling: { temperature: 1, rngSeed: 1 } }

describe('model files that are not what they should be', () => {
  test('a base that is a LoRA, that is text, or that is not there is refused by name, without its folder', async () => {
    const world = await aWorld()
    const { path: lora } = await world.anAdapter()
    const cases = [
      [lora, 'gguf-refused'],
      [import.meta.filename, 'gguf-refused'],
      [join(world.folder, 'gone.gguf'), 'not-found'],
    ] as const
    for (const [path, code] of cases) {
      const error = await failure(world.engine.load({ path, sha256: path }))
      expect(error).toMatchObject({ code })
      expect(JSON.stringify(error)).not.toContain(world.folder)
      expect(JSON.stringify(error)).not.toContain(import.meta.dirname)
    }
  })

  test('a file that kills the engine: told, survived, and after the third time not tried again', slow, async () => {
    const { engine, aKiller, anAdapter } = await aWorld()
    const killer = await aKiller()
    const ask = (adapters: ScaledAdapter[]): Promise<unknown> => failure(engine.nll(adapters, short))
    for (let time = 1; time <= 2; time++) {
      expect(await ask([killer])).toMatchObject({
        code: 'child-crashed',
        message: expect.stringMatching(/SIGABRT.*GGML_ASSERT/),
        details: { file: 'killer.gguf', sha256: killer.sha256, signal: 'SIGABRT' },
      })
      expect(await ask([])).toMatchObject({ tokens: 2 })
    }
    expect(await ask([killer])).toMatchObject({ code: 'quarantined', details: { blame: killer.sha256 } })
    expect(await ask([])).toMatchObject({ tokens: 2 })
    const pid = pidOf(engine)
    expect(await ask([await anAdapter(), killer])).toMatchObject({ code: 'quarantined' })
    expect(await ask([await anAdapter()])).toMatchObject({ tokens: 2 })
    expect(pidOf(engine)).toBe(pid)
  })
})

describe.skipIf(!kit.present)('hostile LoRA files handed straight to the engine (needs the kit)', () => {
  let world: SmallWorld
  beforeAll(async () => void (world = await smallWorld('stories260K')))
  afterAll(async () => await world[Symbol.asyncDispose]())
  const ask = async (name: string): Promise<unknown> =>
    failure(world.engine.nll([{ ...(await kitFile('hostile', 'gguf', name)), scale: 1 }], [[1, 403, 407]]))

  test('what llama.cpp refuses or computes NaN with is refused, in the same process', async () => {
    const pid = pidOf(world.engine)
    const mismatch = expect.stringContaining('arch mismatch')
    expect(await ask('arch_other.gguf')).toMatchObject({ code: 'gguf-refused', message: mismatch })
    expect(await ask('weights_one_nan.gguf')).toMatchObject({ code: 'not-finite' })
    expect(await ask('ok_q_v.gguf')).toMatchObject({ tokens: 2 })
    expect(pidOf(world.engine)).toBe(pid)
  })

  test('every one that makes all logits NaN is refused: also where llama.cpp calls all tokens equally likely', async () => {
    const { files } = readKitJson<{ files: { file: string; llama_cpp: string }[] }>('hostile', 'gguf', 'expected.json')
    const silent = files.filter(({ llama_cpp }) => llama_cpp === 'accepted nonfinite=2560/2560')
    expect(silent.length).toBe(7)
    for (const { file } of silent) expect(await ask(file), file).toMatchObject({ code: 'not-finite' })
  })

  test(
    'each one that ends the process is told with its assertion, and the next file is tried in a fresh one',
    slow,
    async () => {
      const { files } = readKitJson<{ files: { file: string; llama_cpp: string }[] }>(
        'hostile',
        'gguf',
        'expected.json',
      )
      const killers = files.filter(({ llama_cpp }) => llama_cpp.startsWith('crashed'))
      expect(killers.length).toBe(8)
      for (const { file } of killers) {
        expect(await ask(file)).toMatchObject({ code: 'child-crashed', details: { file, signal: 'SIGABRT' } })
      }
      expect(await ask('ok_q_v.gguf')).toMatchObject({ tokens: 2 })
    },
  )
})

describe('the engine process', () => {
  test('a kill in the middle of an answer is told, and the next request is answered by a fresh process', async () => {
    const states: EngineState['kind'][] = []
    const { engine } = await aWorld({ onState: ({ kind }) => states.push(kind) })
    const pid = pidOf(engine)
    const prompt = { kind: 'text', text: 'Once' } as const
    const before = await engine.generate([], prompt, { maxTokens: 8 })
    const words = engine.generate([], prompt, { ...longAnswer, onToken: () => process.kill(pid, 'SIGKILL') })
    expect(await failure(words)).toMatchObject({ code: 'child-crashed', details: { signal: 'SIGKILL' } })
    expect((await engine.generate([], prompt, { maxTokens: 8 })).tokens).toEqual(before.tokens)
    expect(pidOf(engine)).not.toBe(pid)
    expect(states).toEqual(['running', 'backing-off', 'starting', 'running'])
  })

  test('a process that dies between two requests is not noticed by the second', async () => {
    const states: EngineState['kind'][] = []
    const { engine } = await aWorld({ onState: ({ kind }) => states.push(kind) })
    process.kill(pidOf(engine), 'SIGKILL')
    while (!states.includes('backing-off')) await new Promise((resolve) => setImmediate(resolve))
    expect(await engine.nll([], short)).toMatchObject({ tokens: 2 })
  })

  test('another base gets a process of its own', async () => {
    const world = await aWorld()
    const pid = pidOf(world.engine)
    const other = join(world.folder, 'other.gguf')
    await copyFile(world.base.path, other)
    await world.engine.load({ ...world.base, path: other })
    expect(pidOf(world.engine)).not.toBe(pid)
    expect(alive(pid)).toBe(false)
  })

  test('one adapter never hears what was said with another', async () => {
    const { engine, anAdapter } = await aWorld()
    const [one, two] = [await anAdapter({ rngSeed: 1 }), await anAdapter({ rngSeed: 2 })]
    const ask = async (adapter: ScaledAdapter): Promise<readonly number[]> =>
      (await engine.generate([adapter], { kind: 'text', text: 'hello there' }, { maxTokens: 8 })).tokens
    const fresh = [await ask(one), await ask(two)]
    expect(fresh[0]).not.toEqual(fresh[1])
    expect([await ask(one), await ask(two)]).toEqual(fresh)
    expect(await ask({ ...one, scale: 0 })).toEqual(await ask({ ...two, scale: 0 }))
  })

  test('twenty adapters one after the other stay within the memory they may use', async () => {
    const { anAdapter, anotherEngine } = await aWorld()
    const adapters = await Promise.all(Array.from({ length: 20 }, (_, rngSeed) => anAdapter({ rngSeed })))
    const { size } = await stat(adapters[0]?.path ?? '')
    const engine = await anotherEngine({ adapterBudgetBytes: 8 * size })
    const loadedBy = new Map<number, number>()
    for (const adapter of adapters) {
      await engine.nll([adapter], short)
      loadedBy.set(pidOf(engine), (loadedBy.get(pidOf(engine)) ?? 0) + 1)
    }
    expect([...loadedBy.values()]).toEqual([8, 8, 4])
  })

  test('dispose leaves no process, also in the middle of an answer, and may be called twice', async () => {
    const { engine } = await aWorld()
    const pid = pidOf(engine)
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const words = failure(
      engine.generate([], { kind: 'text', text: 'Once' }, { ...longAnswer, onToken: () => begin() }),
    )
    await begun
    await Promise.all([engine[Symbol.asyncDispose](), engine[Symbol.asyncDispose]()])
    expect(alive(pid)).toBe(false)
    expect(await words).toMatchObject({ code: 'aborted' })
    expect(await failure(engine.tokenize('x'))).toMatchObject({ code: 'aborted' })
  })
})
