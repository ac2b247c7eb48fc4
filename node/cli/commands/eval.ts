import { z } from 'zod'
import type { SuiteItem, SuiteResult } from '../../../assembler/index.ts'
import { MeshError } from '../../../protocol/index.ts'
import type { HttpClient } from '../../http/index.ts'
import type { ScoreJob } from '../../score-files.ts'
import { parseScaledFile } from '../../scaled-file.ts'
import { command } from '../command.ts'
import type { Terminal } from '../terminal.ts'
import { countText } from '../units.ts'

const evaluated = z.object({
  persona: z.string(),
  n: z.number(),
  exactMatch: z.number(),
  meanNll: z.number(),
  written: z.array(z.string()),
})
const asked = z.looseObject({ done: z.number(), total: z.number() })
const tellEvery = 50

export const evalCommand = command({
  name: 'eval',
  summary: 'Ask a suite of questions and count the exact answers',
  description:
    'A suite has one {"prompt": "...", "answer": "..."} per line. Greedy decoding: the same files give the same answers.\nEither files are asked, without a node, or a persona of this node.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model' },
    adapter: { type: 'string', value: 'FILE[:SCALE]', multiple: true, summary: 'Adapter' },
    persona: { type: 'string', value: 'ID', summary: 'Persona to ask, in place of files' },
    suite: { type: 'string', value: 'FILE.jsonl', summary: 'Questions and answers' },
    answers: { type: 'boolean', summary: 'Also show every question with what was answered' },
  },
  examples: [
    'lora-mesh eval --base model.gguf --adapter biology.gguf --suite biology.jsonl',
    'lora-mesh eval --persona 1c5f9e0b7a24 --suite biology.jsonl --answers',
  ],
  async run({ options: { base, adapter, persona, suite, answers }, node, signal, terminal }) {
    if (suite === undefined || (base === undefined) === (persona === undefined)) {
      throw new MeshError(
        'usage',
        'Say --suite FILE.jsonl, and either --base FILE or --persona ID: see `lora-mesh eval --help`.',
      )
    }
    if (persona !== undefined && adapter.length > 0)
      throw new MeshError('usage', 'A persona has its own adapters: leave --adapter out.')
    const { readTextFile } = await import('../../read-text-file.ts')
    const { parseSuite } = await import('../../../assembler/index.ts')
    const text = await readTextFile(suite)
    const items = parseSuite(text)
    const { n, exactMatch, meanNll, written } =
      persona === undefined
        ? await askFiles({ base: base!, adapters: adapter.map(parseScaledFile), signal }, items, terminal)
        : await askPersona(await node(), persona, text, signal, terminal)
    const shown = answers ? items.map((item, i) => ({ ...item, written: written[i] ?? '' })) : undefined
    const lines = shown?.map(({ prompt, answer, written }) => `${prompt.trim()}\n  -> ${written}   (${answer})`) ?? []
    const summary = `${(exactMatch * 100).toFixed(1)} % exact over ${countText(n, 'question')}, ${meanNll.toFixed(4)} per answer token`
    return {
      json: {
        ...(persona === undefined ? {} : { persona }),
        n,
        exactMatch,
        meanNll,
        ...(shown === undefined ? {} : { answers: shown }),
      },
      text: [...lines, summary].join('\n'),
    }
  },
})

async function askFiles(job: ScoreJob, items: readonly SuiteItem[], terminal: Terminal): Promise<SuiteResult> {
  const { scoreSuite } = await import('../../score-files.ts')
  return await scoreSuite(job, items, (progress) => tell(progress, terminal))
}

async function askPersona(client: HttpClient, persona: string, suite: string, signal: AbortSignal, terminal: Terminal) {
  const answer = await client.call(
    'POST',
    '/v1/evaluate',
    { persona, suite },
    { signal, onEvent: (event) => event.type === 'asked' && tell(asked.parse(event), terminal) },
  )
  return evaluated.parse(answer)
}

function tell({ done, total }: { done: number; total: number }, terminal: Terminal): void {
  if (done === total || done % tellEvery === 0) terminal.say(`${done} of ${total} asked`)
}
