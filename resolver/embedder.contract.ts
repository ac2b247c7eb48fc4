// What every embedder must do, whatever is behind it. Each implementation's test runs this suite.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Embedder } from './ports.ts'

const control = String.fromCodePoint(0, 7, 27, 0x202e, 0x200b)

export interface ContractOptions {
  /** Texts of the property test; fewer for slow models. */
  readonly runs?: number
}

export function describeEmbedder(name: string, create: () => Embedder, { runs = 50 }: ContractOptions = {}): void {
  describe(`${name} keeps the embedder contract`, () => {
    let embedder: Embedder
    beforeAll(() => {
      embedder = create()
    })
    afterAll(() => embedder[Symbol.asyncDispose]())

    it('gives one vector of the declared dimensions per text, in order', async () => {
      const texts = ['protein folding', 'wine pairing', 'protein folding']
      const vectors = await embedder.embed(texts)
      expect(vectors.map(({ length }) => length)).toEqual([
        embedder.dimensions,
        embedder.dimensions,
        embedder.dimensions,
      ])
      expect(vectors[2]).toEqual(vectors[0])
      expect(vectors[1]).not.toEqual(vectors[0])
    })

    it('gives the same vector for a text alone, in company, and from another instance', async () => {
      const [alone] = await embedder.embed(['court and contract'])
      const company = await embedder.embed(['a much longer text '.repeat(40), 'court and contract'])
      expect(company[1]).toEqual(alone)
      await using other = create()
      expect((await other.embed(['court and contract']))[0]).toEqual(alone)
    })

    it('gives vectors of length 1, or all zeros for a text with nothing to embed', async () => {
      const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 60 }), { maxLength: 4 })
      const check = fc.asyncProperty(texts, async (some) => {
        for (const vector of await embedder.embed(some)) {
          expect(vector.every(Number.isFinite)).toBe(true)
          const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
          expect(length === 0 || Math.abs(length - 1) < 1e-4).toBe(true)
        }
      })
      await fc.assert(check, { numRuns: runs })
    })

    it('finds a text more like its own variant than like another subject', async () => {
      const [a, b, c] = await embedder.embed(['Shakespearean drama', 'the dramas of Shakespeare', 'soil and pruning'])
      const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
      expect(dot(a!, b!)).toBeGreaterThan(dot(a!, c!) + 0.2)
    })

    it('takes empty, blank, control and very long texts', async () => {
      const texts = ['', '   ', control, '🍷'.repeat(500), 'word '.repeat(20_000), 'x'.repeat(100_000)]
      const vectors = await embedder.embed(texts)
      expect(vectors).toHaveLength(texts.length)
      expect(await embedder.embed([])).toEqual([])
    })

    it('rejects with "aborted" when the signal is aborted before or meanwhile', async () => {
      await expect(embedder.embed(['a text'], { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'aborted',
      })
      const controller = new AbortController()
      let asked = 0
      // Aborts from inside the call: when the embedder looks at the third text.
      const texts = new Proxy(['one', 'two', 'three', 'four'], {
        get(target, key, receiver) {
          if (key === '2' && ++asked > 0) controller.abort()
          return Reflect.get(target, key, receiver) as unknown
        },
      })
      await expect(embedder.embed(texts, { signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' })
    })

    it('may be closed twice, before its first use too, and then says so', async () => {
      for (const use of [true, false]) {
        const closing = create()
        if (use) await closing.embed(['a text'])
        await closing[Symbol.asyncDispose]()
        await closing[Symbol.asyncDispose]()
        await expect(closing.embed(['a text'])).rejects.toMatchObject({ code: 'bad-input' })
      }
    })
  })
}
