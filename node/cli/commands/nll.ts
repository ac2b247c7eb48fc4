import { MeshError } from '../../../protocol/index.ts'
import { parseScaledFile } from '../../scaled-file.ts'
import { command } from '../command.ts'
import { countText } from '../units.ts'

export const nllCommand = command({
  name: 'nll',
  summary: 'Measure how well a base, with or without adapters, predicts a text',
  description: 'Mean negative log-likelihood per token, natural logarithm: lower is better.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model' },
    adapter: { type: 'string', value: 'FILE[:SCALE]', multiple: true, summary: 'Adapter' },
    text: { type: 'string', value: 'FILE.txt', summary: 'Text to predict' },
    passages: { type: 'string', value: 'FILE.json', summary: 'Passages with their tokens, [{"tokens": [...]}]' },
  },
  examples: [
    'lora-mesh nll --base model.gguf --text page.txt',
    'lora-mesh nll --base model.gguf --adapter biology.gguf:0.7 --adapter law.gguf --passages heldout.json',
  ],
  async run({ options: { base, adapter, text, passages }, signal }) {
    if (base === undefined) throw new MeshError('usage', 'Say --base FILE: see `lora-mesh nll --help`.')
    const job = { base, adapters: adapter.map(parseScaledFile), signal }
    const { scorePassages, scoreText } = await import('../../score-files.ts')
    const score = text !== undefined && passages === undefined ? scoreText(job, text) : undefined
    const other = passages !== undefined && text === undefined ? scorePassages(job, passages) : undefined
    const work = score ?? other
    if (work === undefined) throw new MeshError('usage', 'Say either --text FILE.txt or --passages FILE.json.')
    const { tokens, meanNll } = await work
    return { json: { tokens, meanNll }, text: `${meanNll.toFixed(6)} per token over ${countText(tokens, 'token')}` }
  },
})
