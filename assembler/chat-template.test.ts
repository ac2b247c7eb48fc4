import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ModelFile } from './index.ts'
import { failure, smallWorld } from './testing/small-world.ts'
import type { SmallWorld } from './testing/small-world.ts'

const hello = [{ role: 'user', content: 'hello' }] as const
const template =
  "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
const questionFirst = `{% for m in messages %}{% if loop.first and m['role'] == 'assistant' %}{{ raise_exception('question first') }}{% endif %}{% endfor %}${template}`

describe('the chat template of a base', () => {
  let world: SmallWorld
  beforeAll(async () => void (world = await smallWorld('random')))
  afterAll(async () => await world[Symbol.asyncDispose]())

  /** Tokens of the conversation as the engine formats it. */
  const promptTokens = async (forBase: ModelFile): Promise<number> =>
    (await world.engine.chat({ adapters: [] }, hello, { maxTokens: 1, forBase })).promptTokens

  test('is used where there is one; otherwise the words are continued as they are', async () => {
    const withOne = await world.withTemplate(template)
    expect(await world.engine.load(withOne)).toMatchObject({ chatTemplate: true })
    const words = (await world.engine.tokenize('hello')).length + 1
    const formatted = (await world.engine.tokenize('[user] hello\n[assistant] ')).length + 1
    expect(Math.abs((await promptTokens(withOne)) - formatted)).toBeLessThanOrEqual(2)
    expect(await promptTokens(world.base)).toBe(words)
  })

  test.for([
    ['is no program at all', '{% for m in %}'],
    ['fails', "{{ raise_exception('no') }}"],
    ['is longer than any real one', `${template}${' '.repeat(70_000)}`],
  ] as const)('that %s is left alone', async ([, bad]) => {
    const base = await world.withTemplate(bad)
    expect(await world.engine.load(base)).toMatchObject({ chatTemplate: false })
    expect(await promptTokens(base)).toBe((await world.engine.tokenize('hello')).length + 1)
  })

  test('that wants a question first gets one, however much of the conversation had to go', async () => {
    const base = await world.withTemplate(questionFirst)
    expect(await world.engine.load(base)).toMatchObject({ chatTemplate: true })
    const messages = Array.from(
      { length: 41 },
      (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'all the world is a stage '.repeat(4) }) as const,
    )
    const { contextSize } = await world.engine.load(base)
    const answer = await world.engine.chat({ adapters: [] }, messages, { maxTokens: 4, forBase: base })
    expect(answer.promptTokens).toBeGreaterThan(contextSize / 2)
    expect(answer.promptTokens).toBeLessThanOrEqual(contextSize - 4)
  })

  test('that refuses a conversation says so, and takes the next one', async () => {
    const base = await world.withTemplate(questionFirst)
    await world.engine.load(base)
    const answerFirst = [{ role: 'assistant', content: 'yes' }, ...hello] as const
    expect(await failure(world.engine.chat({ adapters: [] }, answerFirst, { forBase: base }))).toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('refuses this conversation: question first'),
    })
    expect(await promptTokens(base)).toBeGreaterThan(0)
  })

  test('that never ends is stopped while the base is loaded, and blamed on the base', async () => {
    const engine = await world.anotherEngine({ heartbeatMs: 800 })
    const endless = await world.withTemplate(
      '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}x',
    )
    const error = await failure(engine.load(endless))
    expect(error).toMatchObject({ code: 'child-crashed', details: { sha256: endless.sha256 } })
    expect(error).toMatchObject({ message: expect.stringContaining('stopped answering') })
    expect(await engine.load(world.base)).toMatchObject({ chatTemplate: false })
  })
})

test('two users of one engine with two bases each get answers from their own', async () => {
  await using world = await smallWorld('random')
  const other = await world.withTemplate(template)
  const ask = async (forBase: ModelFile): Promise<number> =>
    (await world.engine.chat({ adapters: [] }, hello, { maxTokens: 1, forBase })).promptTokens
  const [plain, formatted, again] = await Promise.all([ask(world.base), ask(other), ask(world.base)])
  expect(plain).toBeLessThan(formatted)
  expect(again).toBe(plain)
})
