import { MeshError } from '../../../protocol/index.ts'
import { parseScaledFile } from '../../scaled-file.ts'
import { command } from '../command.ts'
import { countText } from '../units.ts'

export const evalCommand = command({
  name: 'eval',
  summary: 'Ask a suite of questions and count the exact answers',
  description:
    'A suite has one {"prompt": "...", "answer": "..."} per line. Greedy decoding: the same files give the same answers.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model' },
    adapter: { type: 'string', value: 'FILE[:SCALE]', multiple: true, summary: 'Adapter' },
    suite: { type: 'string', value: 'FILE.jsonl', summary: 'Questions and answers' },
  },
  examples: ['lora-mesh eval --base model.gguf --adapter biology.gguf --suite biology.jsonl'],
  async run({ options: { base, adapter, suite }, signal, terminal }) {
    if (base === undefined || suite === undefined)
      throw new MeshError('usage', 'Say --base FILE and --suite FILE.jsonl: see `lora-mesh eval --help`.')
    const { scoreSuite } = await import('../../score-files.ts')
    const job = { base, adapters: adapter.map(parseScaledFile), signal }
    const { n, exactMatch, meanNll } = await scoreSuite(job, suite, ({ done, total }) => {
      if (done === total || done % 50 === 0) terminal.say(`${done} of ${total} asked`)
    })
    const text = `${(exactMatch * 100).toFixed(1)} % exact over ${countText(n, 'question')}, ${meanNll.toFixed(4)} per answer token`
    return { json: { n, exactMatch, meanNll }, text }
  },
})
