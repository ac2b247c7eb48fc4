import { resolve } from 'node:path'
import { z } from 'zod'
import { command } from '../command.ts'
import type { Command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { bytesText, tableText } from '../units.ts'

const baseAnswer = z.looseObject({
  id: z.string(),
  label: z.string(),
  file: z.string(),
  path: z.string(),
  bytes: z.number(),
  inUse: z.boolean(),
})
type Base = z.infer<typeof baseAnswer>

const addCommand = command({
  name: 'base add',
  summary: 'Add a base model (GGUF) that lies on this machine',
  description: 'The file stays where it is. The first one added is used; --use makes it the one in use.',
  positionals: 'FILE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { use: { type: 'boolean', summary: 'Use it from now on' } },
  examples: ['lora-mesh base add model.gguf', 'lora-mesh base add other.gguf --use'],
  async run({ positionals: [file = ''], options, node, signal, terminal }) {
    const client = await node()
    const answer = await client.call(
      'POST',
      '/v1/bases',
      { path: resolve(file), use: options.use },
      { signal, onEvent: showProgress(terminal) },
    )
    const { base } = z.object({ base: baseAnswer }).parse(answer)
    return { json: { base }, text: `${baseText(base)}\nbase id ${base.id}\nfile    ${base.file}` }
  },
})

const listCommand = command({
  name: 'base list',
  summary: 'List the bases of this node',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {},
  examples: ['lora-mesh base list'],
  async run({ node, signal }) {
    const answer = await (await node()).call('GET', '/v1/bases', {}, { signal })
    const { bases } = z.object({ bases: z.array(baseAnswer) }).parse(answer)
    const rows = bases.map((base) => [
      base.inUse ? '*' : ' ',
      base.label,
      base.id.slice(0, 12),
      base.file.slice(0, 12),
      bytesText(base.bytes),
      base.path,
    ])
    const text =
      bases.length === 0
        ? 'No base yet: lora-mesh base add MODEL.gguf'
        : tableText([[' ', 'label', 'base id', 'file', 'size', 'path'], ...rows])
    return { json: { bases }, text }
  },
})

const useCommand = command({
  name: 'base use',
  summary: 'Use another base from now on',
  positionals: 'BASE',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh base use stories260K', 'lora-mesh base use 09e17a56bc35'],
  async run({ positionals: [name = ''], node, signal }) {
    const answer = await (await node()).call('POST', '/v1/bases/use', { name }, { signal })
    const { base } = z.object({ base: baseAnswer }).parse(answer)
    return { json: { base }, text: baseText(base) }
  },
})

const removeCommand = command({
  name: 'base remove',
  summary: 'Forget a base; its file stays where it is',
  positionals: 'BASE',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh base remove stories260K'],
  async run({ positionals: [name = ''], node, signal }) {
    const answer = await (await node()).call('POST', '/v1/bases/remove', { name }, { signal })
    const { removed } = z.object({ removed: baseAnswer }).parse(answer)
    return { json: { removed }, text: `Forgot ${removed.label}; the file stays at ${removed.path}.` }
  },
})

export const baseCommands: readonly Command[] = [addCommand, listCommand, useCommand, removeCommand]

function baseText({ label, bytes, inUse }: Base): string {
  return `${label}, ${bytesText(bytes)}${inUse ? ', in use' : ''}`
}
