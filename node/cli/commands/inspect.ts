import type { Inspection } from '../../../model-files/index.ts'
import { command } from '../command.ts'
import { bytesText, tableText } from '../units.ts'

export const inspectCommand = command({
  name: 'inspect',
  summary: 'Say what a model file is and whether the mesh can use it',
  description:
    'The file is judged by its content, never by its name. With --base an adapter is also compared with that base.',
  positionals: 'FILE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { base: { type: 'string', value: 'FILE', summary: 'Base model that the adapter is for' } },
  examples: ['lora-mesh inspect model.gguf', 'lora-mesh inspect adapter.gguf --base model.gguf --json'],
  async run({ positionals: [file = ''], options, signal }) {
    const { inspectFile } = await import('../../../model-files/index.ts')
    const inspection = await inspectFile(file, options.base, { signal })
    return { json: inspection, text: textOf(inspection), exitCode: inspection.ok ? 0 : 2 }
  },
})

function textOf({ kind, bytes, ok, problems, ...facts }: Inspection): string {
  const rows = Object.entries(facts).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(' ') : String(value),
  ])
  const verdict = ok
    ? 'The mesh can use it.'
    : `The mesh refuses it:\n${problems.map(({ code, message }) => `  ${code}: ${message}`).join('\n')}`
  return `${tableText([['kind', kind], ['size', bytesText(bytes)], ...rows])}\n${verdict}`
}
