import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { kit } from '../testing/kit.ts'
import { describeEmbedder } from './embedder.contract.ts'
import { dot } from './ngram-embedder.ts'
import { createTransformersEmbedder } from './transformers-embedder.ts'

const create = () => createTransformersEmbedder({ model: { folder: kit.path('embedder/all-MiniLM-L6-v2') } })

describe.skipIf(!kit.present)('transformers.js with MiniLM (needs the kit)', () => {
  describeEmbedder('The transformers.js embedder', create, { runs: 10 })

  it('gives the reference vectors within the precision of int8 weights', async () => {
    const reference = z
      .object({ texts: z.array(z.string()), embeddings: z.array(z.array(z.number())) })
      .parse(JSON.parse(readFileSync(kit.path('embedder/expected.json'), 'utf8')))
    await using embedder = create()
    const vectors = await embedder.embed(reference.texts)
    for (const [i, expected] of reference.embeddings.entries()) {
      expect(dot(vectors[i]!, Float32Array.from(expected)), reference.texts[i]).toBeGreaterThan(0.98)
    }
  })

  it('refuses a number of dimensions that the model does not have', async () => {
    await using embedder = createTransformersEmbedder({
      model: { folder: kit.path('embedder/all-MiniLM-L6-v2') },
      dimensions: 256,
    })
    await expect(embedder.embed(['a text'])).rejects.toMatchObject({ code: 'bad-config' })
  })
})

describe('transformers.js', () => {
  it('says where it looked when the folder holds no model, every time', async () => {
    await using embedder = createTransformersEmbedder({ model: { folder: '/nowhere/a-model' } })
    for (let i = 0; i < 2; i++) {
      await expect(embedder.embed(['a text'])).rejects.toMatchObject({
        code: 'not-found',
        details: { model: '/nowhere/a-model' },
      })
    }
  })

  // Plain node, so that the entry point itself is started as in production; the hook sees every module that is asked for.
  async function inPlainNode(script: string): Promise<string> {
    const hook = `import { registerHooks } from 'node:module'
      registerHooks({ resolve(name, context, next) {
        if (name.includes('xenova')) { console.log('asked for ' + name); throw Object.assign(new Error('gone'), { code: 'ERR_MODULE_NOT_FOUND' }) }
        return next(name, context)
      } })
      const resolver = await import('./resolver/index.ts')\n`
    const cwd = fileURLToPath(new URL('..', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', hook + script], {
      cwd,
    })
    return stdout
  }

  it('is not loaded by importing the resolver or creating the embedder', async () => {
    const script = `resolver.createTransformersEmbedder({ model: { folder: '/nowhere' } }); console.log('started')`
    expect(await inPlainNode(script)).toBe('started\n')
  })

  it('says which package to install when it is missing', async () => {
    const script = `await resolver.createTransformersEmbedder({ model: { hub: 'some/model' } }).embed(['a']).catch((error) => console.log(error.code, error.message))`
    const output = await inPlainNode(script)
    expect(output).toMatch(/asked for @xenova\/transformers\nbad-config .*@xenova\/transformers.*npm install/)
  })
})
