import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import type { HttpClient, OperationEvent } from '../../http/index.ts'
import { chatLoop } from '../chat-loop.ts'
import { command } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import type { Terminal } from '../terminal.ts'
import { bytesText, countText, durationText } from '../units.ts'

const shownGap = z.object({
  preview: z.string(),
  capability: z.string(),
  text: z.string(),
  communities: z.array(z.string()),
})
type ShownGap = z.infer<typeof shownGap>
const requested = z.object({
  plan: z.looseObject({ facets: z.array(z.string()) }),
  fetch: z.object({
    bytes: z.number(),
    seconds: z.number(),
    sources: z.array(z.object({ peer: z.string(), kind: z.string(), bytes: z.number() })),
  }),
  assembleMs: z.number(),
  persona: z.string().optional(),
  lockfile: z.looseObject({ releases: z.array(z.looseObject({ name: z.string(), version: z.string() })) }).optional(),
  gaps: z.array(shownGap),
})
type Requested = z.infer<typeof requested>
const plannedSizes = z.object({
  bytes: z.number(),
  fetch: z.array(z.unknown()),
  base: z.object({ bytes: z.number() }).optional(),
})
const foundSeeders = z.array(z.object({ release: z.string(), seeders: z.number() }))
const posted = z.object({
  job: z.looseObject({ capability: z.string(), state: z.string(), communities: z.array(z.string()) }),
})
type Posted = z.infer<typeof posted>['job']

export const requestCommand = command({
  name: 'request',
  summary: 'Describe what you need; find, fetch and compose it',
  description:
    'What nobody offers is shown as a gap. A gap leaves this node only after a yes (or with --post-gaps), word for word as it is shown.\nWithout a base that fits, the command says which ones would, and goes on when one is added from another terminal.\nA persona follows the upgrades of its communities: a new lockfile is written, the old one kept. With --locked it never moves.',
  positionals: 'TEXT',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    chat: { type: 'boolean', summary: 'Talk to the persona at once' },
    'post-gaps': { type: 'boolean', summary: 'Post what nobody offers as wanted jobs, without asking' },
    'any-publisher': {
      type: 'boolean',
      summary: 'Also draw on publishers outside the communities you follow, as far as this node knows them',
    },
    locked: { type: 'boolean', summary: 'Never move this persona on to newer releases' },
    'wait-base': { type: 'string', value: 'SECONDS', summary: 'How long to wait for a base that fits (default 60)' },
  },
  examples: [
    'lora-mesh request "someone who can write a recipe in the style of a Shakespeare play" --chat',
    'lora-mesh request "biochemistry expertise for protein folding" --post-gaps --json',
  ],
  async run({ positionals: [text = ''], options, node, signal, terminal }) {
    const client = await node()
    const wish = {
      text,
      anyPublisher: options['any-publisher'],
      waitBaseMs: parseSeconds(options['wait-base']) * 1_000,
      locked: options.locked,
    }
    const onEvent = showProgress(terminal, (event) => tellEvent(event, terminal))
    const result = requested.parse(await client.call('POST', '/v1/requests', wish, { signal, onEvent }))
    const jobs = await postGaps(client, result.gaps, options['post-gaps'], terminal, signal)
    const { gaps: _gaps, ...answer } = result
    const { persona } = result
    if (persona === undefined) throw nothingFound(result, jobs, options['any-publisher'])
    if (!terminal.json) terminal.print(personaText(result))
    const chat = options.chat ? await chatLoop({ client, terminal, signal, persona, opening: text }) : undefined
    const json = { ...answer, ...(jobs.length === 0 ? {} : { jobs }), ...(chat === undefined ? {} : { chat }) }
    return { json, text: '' }
  },
})

function tellEvent(event: OperationEvent, terminal: Terminal): void {
  if (event.type === 'plan') {
    terminal.say(String(event['explanation']).trimEnd())
    terminal.say(sizesText(plannedSizes.parse(event['plan'])))
  }
  if (event.type === 'seeders') {
    for (const { release, seeders } of foundSeeders.parse(event['releases'])) {
      terminal.say(`${release} is served by ${countText(seeders, 'connected peer')}.`)
    }
  }
  if (event.type === 'verified')
    terminal.say(`${String(event['release'])} is verified: SHA-256, signature, base, every tensor, probe.`)
  if (event.type === 'base-missing') {
    terminal.say(String(event['message']))
    terminal.say(`Waiting ${String(event['waitSeconds'])} s for it; Ctrl-C ends this.`)
  }
  if (event.type === 'assembled') terminal.say(`Assembled in ${durationText(Number(event['assembleMs']))}.`)
}

/** What is fetched, beside what it would take if each were a model of its own. */
function sizesText({ bytes, fetch, base }: z.infer<typeof plannedSizes>): string {
  if (fetch.length === 0 || base === undefined) return 'Size     nothing has to be fetched'
  const whole = `${countText(fetch.length, 'whole model')} would be ${bytesText(fetch.length * base.bytes)}`
  return `Size     ${bytesText(bytes)} to fetch; ${whole}`
}

/** Shows each gap word for word; posts it after a yes. */
async function postGaps(
  client: HttpClient,
  gaps: readonly ShownGap[],
  yes: boolean,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Posted[]> {
  const jobs: Posted[] = []
  for (const { preview, capability, text, communities } of gaps) {
    terminal.say(`\nNobody offers ${capability}. As a wanted job, others would see exactly this:`)
    terminal.say(text.replace(/^/gm, '  '))
    if (communities.length === 0) {
      terminal.say('It can be posted once you follow a community and have met one of its peers.')
      continue
    }
    if (!(yes || (await isYes(terminal, communities, signal)))) continue
    const { job } = posted.parse(await client.call('POST', '/v1/jobs', { preview }, { signal }))
    terminal.say(
      job.state === 'posted' ? `Posted in ${communities.join(', ')}.` : 'It will be posted once a peer has been asked.',
    )
    jobs.push(job)
  }
  return jobs
}

async function isYes(terminal: Terminal, communities: readonly string[], signal: AbortSignal): Promise<boolean> {
  if (!terminal.interactive) {
    terminal.say('Not posted: say --post-gaps to post it.')
    return false
  }
  const answer = await terminal.ask(`Post it in ${communities.join(', ')}? [y/N] `, signal)
  return /^y(?:es)?$/i.test(answer?.trim() ?? '')
}

function nothingFound({ plan, gaps }: Requested, jobs: readonly Posted[], anyPublisher: boolean): MeshError {
  if (plan.facets.length === 0) {
    return new MeshError(
      'nothing-found',
      'No word of this request names a subject: say what the persona should know or do.',
      { plan, jobs },
    )
  }
  const names = gaps.map(({ capability }) => capability)
  const what =
    names.length === 0
      ? 'Nothing that was found fits this request'
      : `Nobody offers ${names.join(' or ')} for your base`
  const posted =
    jobs.length > 0 ? `; it is wanted now in ${jobs.flatMap(({ communities }) => communities).join(', ')}` : ''
  const advice = `Follow another community${anyPublisher ? '' : ', say --any-publisher'}${posted === '' ? ', or post it as a wanted job' : ''}.`
  return new MeshError('nothing-found', `${what}${posted}. ${advice}`, { plan, jobs })
}

function personaText({ persona, lockfile, fetch }: Requested): string {
  const parts = lockfile?.releases.map(({ name, version }) => `${name}@${version}`) ?? []
  const from =
    fetch.bytes === 0
      ? 'nothing had to be fetched'
      : `${bytesText(fetch.bytes)} from ${countText(fetch.sources.length, 'peer')} in ${durationText(fetch.seconds * 1_000)}`
  return `Persona ${persona}: ${parts.join(' + ')} (${from})\nTalk to it with: lora-mesh chat ${persona}`
}

function parseSeconds(text: string | undefined): number {
  if (text === undefined) return 60
  const seconds = Number(text)
  if (!(seconds >= 0 && seconds <= 86_400))
    throw new MeshError('usage', `--wait-base ${text}: write seconds, from 0 to 86400.`)
  return seconds
}
