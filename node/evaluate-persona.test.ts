// That a persona's answers are counted is seen in fixtures/demo.test.ts, where one exists.
import { expect, test } from 'vitest'
import { evaluatePersona } from './evaluate-persona.ts'
import { aNodeIn } from './testing/node-in-folder.ts'
import { temporaryFolder } from './testing/temporary-folder.ts'

const context = { signal: new AbortController().signal, emit: () => {} }

test('a persona that is not there, and a suite that is none, are refused', async () => {
  await using folder = await temporaryFolder()
  await using node = await aNodeIn(folder.path)
  const suite = '{"prompt": "Q: a", "answer": "b"}\n'
  await expect(evaluatePersona(node, { persona: 'ffffffffffff', suite }, context)).rejects.toMatchObject({
    code: 'not-found',
  })
  await expect(evaluatePersona(node, { persona: undefined, suite: `${suite}{` }, context)).rejects.toMatchObject({
    code: 'bad-input',
    details: { line: 2 },
  })
})
