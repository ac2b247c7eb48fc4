// The options of `publish` and what their words mean.
import { resolve } from 'node:path'
import { MeshError, limits } from '../../protocol/index.ts'
import type { DeltaBits, RequirementWish } from '../release-wish.ts'
import { parseCapability } from './ask-release.ts'
import type { OptionSpec, OptionValues } from './command.ts'

export const publishOptions = {
  name: { type: 'string', value: 'NAME', summary: 'Bare name: lower-case letters, digits, "-"' },
  version: {
    type: 'string',
    value: 'X.Y.Z',
    summary:
      'Semantic version above those published in its line: after 1.2.3 and 1.3.0 comes 1.3.1, or 1.2.4 as a backport',
  },
  summary: { type: 'string', value: 'TEXT', summary: 'What it does, in a sentence: requests find it by this' },
  capability: {
    type: 'string',
    value: 'NAME=TEXT',
    multiple: true,
    summary: 'A skill and its description (default: name and summary)',
  },
  tag: { type: 'string', value: 'TAG', multiple: true, summary: 'Tag' },
  licence: { type: 'string', value: 'SPDX', summary: 'Licence of the adapter (default NOASSERTION)' },
  requires: {
    type: 'string',
    value: 'NAME@RANGE',
    multiple: true,
    summary: 'A release it does not work without, such as science@^1.2 or PUBLISHER/science@^1.2',
  },
  parent: {
    type: 'string',
    value: 'RELEASE',
    multiple: true,
    summary: 'A release it was made from: NAME@VERSION, PUBLISHER/NAME@VERSION or a release id',
  },
  suite: {
    type: 'string',
    value: 'FILE.jsonl',
    multiple: true,
    summary: 'Questions, {"prompt", "answer"}, to ask the base without and with it; the result is signed and published',
  },
  scale: { type: 'string', value: 'NUMBER', summary: 'Strength at run time (default 1)' },
  'scale-range': {
    type: 'string',
    value: 'LEAST,MOST',
    summary: 'How weak and how strong it may be made beside others (default 0 to twice the scale)',
  },
  trigger: { type: 'string', value: 'TEXT', summary: 'Words in a prompt that it was trained to wait for' },
  'system-prompt': { type: 'string', value: 'TEXT', summary: 'System prompt it was trained with' },
  probe: {
    type: 'string',
    value: 'FILE.jsonl',
    summary:
      'Questions it answers, {"prompt", "answer"}; the first eight become public (default: samples of what it writes)',
  },
  'delta-bits': {
    type: 'string',
    value: '2..8|auto',
    summary: 'Publish it as the last version plus differences of so few bits, if the suites show that nothing is lost',
  },
  base: { type: 'string', value: 'BASE', summary: 'Base it was trained on (default: the one in use)' },
  yes: { type: 'boolean', summary: 'Take what is proposed for everything that is not given, without questions' },
  'no-card': { type: 'boolean', summary: 'Write no model card beside the adapter' },
} as const satisfies Readonly<Record<string, OptionSpec>>

export type PublishOptions = OptionValues<typeof publishOptions>

/** What the command line says of a release: the body of a call, but for what is still to be asked. */
export async function givenFacts(path: string, options: PublishOptions) {
  const { name, version, summary, licence, trigger, base } = options
  return {
    path: resolve(path),
    name,
    version,
    summary,
    licence,
    capabilities: options.capability.map(requiredCapability),
    tags: options.tag,
    requires: options.requires.map(parseRequirement),
    parents: options.parent,
    suites: options.suite.map((file) => resolve(file)),
    scale: parseScale(options.scale ?? '1'),
    scaleRange: parseScaleRange(options['scale-range']),
    trigger,
    systemPrompt: options['system-prompt'],
    deltaBits: parseDeltaBits(options['delta-bits'], options.suite),
    probe: options.probe === undefined ? undefined : await readProbe(options.probe),
    base,
  }
}

export type GivenFacts = Awaited<ReturnType<typeof givenFacts>>

function requiredCapability(text: string): { name: string; description: string } {
  const capability = parseCapability(text)
  if (capability === undefined) throw new MeshError('usage', `--capability ${text}: write NAME=TEXT.`)
  return capability
}

function parseRequirement(text: string): RequirementWish {
  const parts = /^(?:([a-z2-7]{52})\/)?([^/@]+)@(.+)$/.exec(text)
  if (parts === null) throw new MeshError('usage', `--requires ${text}: write NAME@RANGE, such as science@^1.2.`)
  const [, publisher, name = '', range = ''] = parts
  return { name, range, ...(publisher === undefined ? {} : { publisher }) }
}

/** By these every node that fetches the release checks that it does there what it does here. */
export async function readProbe(path: string): Promise<string[]> {
  const { readTextFile } = await import('../read-text-file.ts')
  const { parseSuite, suiteText } = await import('../../assembler/index.ts')
  const items = parseSuite(await readTextFile(path)).slice(0, limits.probeSequences)
  return items.map(suiteText)
}

function parseScale(text: string): number {
  const scale = Number(text)
  if (!(Math.abs(scale) <= 16) || text.trim() === '')
    throw new MeshError('usage', `--scale ${text}: write a number from -16 to 16.`)
  return scale
}

function parseDeltaBits(text: string | undefined, suites: readonly string[]): DeltaBits | undefined {
  if (text === undefined) return undefined
  if (!/^(?:[2-8]|auto)$/.test(text))
    throw new MeshError('usage', `--delta-bits ${text}: write a number from 2 to 8, or auto.`)
  if (suites.length === 0)
    throw new MeshError(
      'usage',
      '--delta-bits needs --suite FILE.jsonl: only questions show whether something is lost.',
    )
  return text === 'auto' ? text : Number(text)
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
