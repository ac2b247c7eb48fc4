import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import type { Terminal } from '../terminal.ts'
import { bytesText, countText, durationText, tableText } from '../units.ts'

const preview = z.object({
  persona: z.string(),
  already: z.boolean(),
  base: z.looseObject({ id: z.string(), label: z.string(), known: z.boolean() }),
  releases: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      publisher: z.string(),
      memberOf: z.array(z.string()),
      bytes: z.number(),
      held: z.boolean(),
      facets: z.array(z.string()),
      withdrawn: z.string().optional(),
    }),
  ),
  fetchBytes: z.number(),
  gaps: z.array(z.string()),
  systemPrompt: z.string().optional(),
  lockfile: z.looseObject({}),
})
type Preview = z.infer<typeof preview>
const opened = z.object({
  persona: z.string(),
  already: z.boolean(),
  follows: z.string(),
  stackHash: z.string(),
  lockfile: z.looseObject({}),
  fetch: z.looseObject({ bytes: z.number(), seconds: z.number(), sources: z.array(z.looseObject({})) }),
  assembleMs: z.number(),
  systemPrompts: z.array(z.object({ release: z.string(), text: z.string() })),
})
type Opened = z.infer<typeof opened>

export const openCommand = command({
  name: 'open',
  summary: 'Get the persona that a link leads to, bit for bit',
  description:
    'Shows what would come and from whom, and asks before anything is fetched. It needs the base that the persona was made with. What is opened never moves; a link to a persona you have already changes nothing of it.\nAfter an interruption the same command goes on where it stopped.',
  positionals: 'LINK',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    yes: { type: 'boolean', summary: 'Do not ask' },
    wait: { type: 'string', value: 'SECONDS', summary: 'How long to look for somebody who shares it (default 120)' },
  },
  examples: ['lora-mesh open loramesh:persona:abc...', 'lora-mesh open LINK --yes --json'],
  async run({ positionals: [link = ''], options, node, signal, terminal }) {
    const waitMs = parseSeconds(options.wait) * 1_000
    const client = await node()
    const onEvent = showProgress(terminal, ({ type, release }) => {
      if (type === 'verified')
        terminal.say(`${String(release)} is verified: SHA-256, signature, base, every tensor, probe.`)
    })
    const shown = preview.parse(await client.call('POST', '/v1/links/look', { link, waitMs }, { signal, onEvent }))
    terminal.say(previewText(shown))
    if (!(await mayOpen(shown, options.yes, terminal, signal)))
      return { json: { opened: false, persona: shown.persona }, text: 'Nothing was fetched.', exitCode: 1 }
    const wish = { link, waitMs, lockfile: shown.lockfile }
    const answer = opened.parse(await client.call('POST', '/v1/links/open', wish, { signal, onEvent }))
    for (const { release, text } of answer.systemPrompts) terminal.say(strangersText(`${release} suggests`, text))
    return { json: answer, text: openedText(answer) }
  },
})

function previewText({ persona, already, base, releases, fetchBytes, gaps, systemPrompt }: Preview): string {
  const rows = releases.map(({ name, version, publisher, memberOf, bytes, held }) => [
    `  ${name}@${version}`,
    bytesText(bytes),
    held ? 'held' : 'to fetch',
    `by ${publisher.slice(0, 16)}…`,
    memberOf.length === 0 ? 'not in a community you follow' : `member of ${memberOf.join(', ')}`,
  ])
  const withdrawn = releases.flatMap(({ name, version, withdrawn: reason }) =>
    reason === undefined ? [] : [`${name}@${version} was withdrawn: ${reason}`],
  )
  return [
    `Persona ${persona}${already ? ', which you have already' : ''}`,
    `Base ${base.label}, ${base.known ? 'which you have' : `which you do not have (base id ${base.id})`}`,
    ...(rows.length === 0 ? ['No releases: the bare base.'] : [tableText(rows)]),
    ...withdrawn,
    ...(gaps.length === 0 ? [] : [`Asked for, but not in it: ${gaps.join(', ')}`]),
    ...(systemPrompt === undefined ? [] : [strangersText('The persona suggests', systemPrompt)]),
    fetchBytes === 0 ? 'Nothing has to be fetched.' : `${bytesText(fetchBytes)} to fetch.`,
  ].join('\n')
}

function strangersText(who: string, text: string): string {
  return `${who} this system prompt; it is not used:\n${text.replace(/^/gm, '  ')}`
}

/** Nothing to ask where nothing would be fetched, or where it can't be opened anyway and the reason is to be told. */
async function mayOpen(shown: Preview, yes: boolean, terminal: Terminal, signal: AbortSignal): Promise<boolean> {
  if (yes || shown.fetchBytes === 0 || !shown.base.known) return true
  if (!terminal.interactive) throw new MeshError('usage', 'Nothing was fetched: say --yes to open this link.')
  const answer = await terminal.ask('Open it? [y/N] ', signal)
  return /^y(?:es)?$/i.test(answer?.trim() ?? '')
}

function openedText({ persona, already, follows, fetch, assembleMs }: Opened): string {
  const from =
    fetch.bytes === 0
      ? 'nothing had to be fetched'
      : `${bytesText(fetch.bytes)} from ${countText(fetch.sources.length, 'peer')} in ${durationText(fetch.seconds * 1_000)}`
  const moves = follows === 'float' ? 'It was here before and follows upgrades, as you wished.' : 'It never moves.'
  return [
    `Persona ${persona} is ${already ? 'here already' : 'here'} (${from}; assembled in ${durationText(assembleMs)}). ${moves}`,
    `Talk to it with: lora-mesh chat ${persona}`,
  ].join('\n')
}

function parseSeconds(text: string | undefined): number {
  if (text === undefined) return 120
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0 && seconds <= 86_400))
    throw new MeshError('usage', `--wait ${text}: write seconds, from 0 to 86400.`)
  return seconds
}
