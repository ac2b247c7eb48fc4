import { z } from 'zod'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { bytesText, countText } from '../units.ts'

const verified = z.object({
  checked: z.number(),
  bytes: z.number(),
  broken: z.array(
    z.object({
      kind: z.string(),
      release: z.string(),
      releaseId: z.string(),
      code: z.string(),
      message: z.string(),
      repair: z.enum(['rebuilt', 'fetched', 'set-aside', 'none']),
      advice: z.string().optional(),
    }),
  ),
  ok: z.boolean(),
})
type Verified = z.infer<typeof verified>

export const verifyCommand = command({
  name: 'verify',
  summary: 'Check every byte this node keeps; get again what is broken',
  description:
    'Adapters, manifests, signatures, lists of pieces and lockfiles are read and hashed again. What is broken goes into the folder `damaged` of the data folder and is had again: from what is whole here, else from peers.\nExits 2 when something is still broken.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    bases: { type: 'boolean', summary: 'Also the base models, which takes a while' },
    'no-fetch': { type: 'boolean', summary: 'Fetch nothing: only say what is broken' },
  },
  examples: ['lora-mesh verify', 'lora-mesh verify --bases --json'],
  async run({ options, node, signal, terminal }) {
    const wish = { bases: options.bases, fetch: !options['no-fetch'] }
    const onEvent = showProgress(terminal, (event) => {
      if (event.type === 'checked') terminal.say(`checked ${String(event['release'])}`)
    })
    const result = verified.parse(await (await node()).call('POST', '/v1/verify', wish, { signal, onEvent }))
    return { json: result, text: textOf(result), exitCode: result.ok ? 0 : 2 }
  },
})

const repairs = {
  rebuilt: 'Put together again from what is whole here.',
  fetched: 'Fetched again.',
  'set-aside': 'Moved aside.',
  none: '',
} as const

function textOf({ checked, bytes, broken, ok }: Verified): string {
  const state =
    broken.length === 0 ? 'all as they were signed.' : ok ? 'all as they were signed now.' : 'some are broken.'
  const lines = broken.map(({ release, code, message, repair, advice }) =>
    [`${release}: ${code}: ${message}`, repairs[repair], advice ?? ''].filter(Boolean).join(' '),
  )
  return [`${countText(checked, 'release')}, ${bytesText(bytes)}: ${state}`, ...lines].join('\n')
}
