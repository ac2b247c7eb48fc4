import { resolve } from 'node:path'
import { z } from 'zod'
import { limits, MeshError } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { bytesText } from '../units.ts'

const published = z.looseObject({
  release: z.string(),
  releaseId: z.string(),
  bytes: z.number(),
  rank: z.number(),
  state: z.enum(['published', 'pending']),
  message: z.string().optional(),
})

const steps: Readonly<Record<string, string>> = {
  convert: 'reading the adapter',
  check: 'checking it against the base',
  probe: 'measuring what it does on the base',
  sign: 'signing',
  announce: 'announcing',
}

export const publishCommand = command({
  name: 'publish',
  summary: 'Publish an adapter: a PEFT folder as training leaves it, or a LoRA GGUF',
  description: 'It is checked, measured on the base, signed, announced, and seeded while `lora-mesh up` runs.',
  positionals: 'PATH',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    name: { type: 'string', value: 'NAME', summary: 'Bare name: lower-case letters, digits, "-"' },
    version: { type: 'string', value: 'X.Y.Z', summary: 'Semantic version' },
    summary: { type: 'string', value: 'TEXT', summary: 'What it does, in a sentence: requests find it by this' },
    capability: {
      type: 'string',
      value: 'NAME=TEXT',
      multiple: true,
      summary: 'A skill and its description (default: name and summary)',
    },
    tag: { type: 'string', value: 'TAG', multiple: true, summary: 'Tag' },
    licence: { type: 'string', value: 'SPDX', summary: 'Licence of the adapter (default NOASSERTION)' },
    scale: { type: 'string', value: 'NUMBER', summary: 'Strength at run time (default 1)' },
    'scale-range': {
      type: 'string',
      value: 'LEAST,MOST',
      summary: 'How weak and how strong it may be made beside others (default 0 to twice the scale)',
    },
    probe: {
      type: 'string',
      value: 'FILE.jsonl',
      summary:
        'Questions it answers, {"prompt", "answer"}; the first eight become public (default: samples of what it writes)',
    },
    base: { type: 'string', value: 'BASE', summary: 'Base it was trained on (default: the one in use)' },
  },
  examples: [
    'lora-mesh publish ./training-output --name recipes --version 1.0.0 --summary "writes cooking recipes"',
    'lora-mesh publish law.gguf --name law --version 1.2.0 --summary "answers questions about law" --licence MIT',
  ],
  async run({ positionals: [path = ''], options, node, signal, terminal }) {
    const { name, version, summary } = options
    if (name === undefined || version === undefined || summary === undefined) {
      throw new MeshError('usage', 'Say --name, --version and --summary: see `lora-mesh publish --help`.')
    }
    const wish = {
      path: resolve(path),
      name,
      version,
      summary,
      licence: options.licence ?? 'NOASSERTION',
      capabilities: options.capability.map(parseCapability),
      tags: options.tag,
      scale: parseScale(options.scale ?? '1'),
      scaleRange: parseScaleRange(options['scale-range']),
      probe: options.probe === undefined ? undefined : await readProbe(options.probe),
      base: options.base,
    }
    const onEvent = showProgress(terminal, ({ step }) => terminal.say(steps[String(step)] ?? String(step)))
    const answer = await (await node()).call('POST', '/v1/releases', wish, { signal, onEvent })
    const result = published.parse(answer)
    const waiting =
      result.state === 'pending' ? `\nNot visible to others yet: ${result.message ?? 'it waits for a peer.'}` : ''
    const text = `${result.release}\n${bytesText(result.bytes)}, rank ${result.rank}, release id ${result.releaseId}${waiting}`
    return { json: result, text }
  },
})

/** By these every node that fetches the release checks that it does there what it does here. */
async function readProbe(path: string): Promise<string[]> {
  const { readTextFile } = await import('../../read-text-file.ts')
  const { parseSuite, suiteText } = await import('../../../assembler/index.ts')
  const items = parseSuite(await readTextFile(path)).slice(0, limits.probeSequences)
  return items.map(suiteText)
}

function parseCapability(text: string): { name: string; description: string } {
  const at = text.indexOf('=')
  if (at < 1) throw new MeshError('usage', `--capability ${text}: write NAME=TEXT.`)
  return { name: text.slice(0, at).trim(), description: text.slice(at + 1).trim() }
}

function parseScale(text: string): number {
  const scale = Number(text)
  if (!(Math.abs(scale) <= 16) || text.trim() === '')
    throw new MeshError('usage', `--scale ${text}: write a number from -16 to 16.`)
  return scale
}

function parseScaleRange(text: string | undefined): [number, number] | undefined {
  if (text === undefined) return undefined
  const scales = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)))
  const [least, most] = scales
  if (
    least === undefined ||
    most === undefined ||
    scales.length !== 2 ||
    !scales.every((scale) => Math.abs(scale) <= 16)
  )
    throw new MeshError('usage', `--scale-range ${text}: write the least and the greatest scale, such as 0.5,1.`)
  return [least, most]
}
