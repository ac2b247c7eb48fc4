import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import type { HttpClient } from '../../http/index.ts'
import { command } from '../command.ts'
import type { Outcome } from '../command.ts'
import { countText, tableText } from '../units.ts'

const sharedPersona = z.object({
  persona: z.string(),
  link: z.string(),
  releases: z.array(z.string()),
  words: z.array(z.string()),
})
const sharedNow = sharedPersona.extend({ online: z.boolean() })
const shares = z.object({ online: z.boolean(), shared: z.array(sharedPersona) })
const stopped = z.object({ persona: z.string() })

const startHint = 'Nobody can open it now: run `lora-mesh up`.'

export const shareCommand = command({
  name: 'share',
  summary: 'Print a link from which others get the same persona, bit for bit',
  description:
    'Without PERSONA: the one made last, as it is now. While `lora-mesh up` runs, this node hands the lockfile and the releases to whoever has the link; others can open it elsewhere with `lora-mesh open`. Everybody who shares the same persona prints the same link, and any of them will do.\nA link always leads to this very persona, also when yours has moved on.',
  positionals: '[PERSONA]',
  minPositionals: 0,
  maxPositionals: 1,
  options: {
    list: { type: 'boolean', summary: 'Show what is shared' },
    stop: { type: 'boolean', summary: 'Share it no more; whoever has opened it keeps it' },
  },
  examples: ['lora-mesh share', 'lora-mesh share 3f9a0c12b7de --json', 'lora-mesh share 3f9a0c12b7de --stop'],
  async run({ positionals: [persona], options: { list, stop }, node, signal, terminal }) {
    if (list && (stop || persona !== undefined))
      throw new MeshError('usage', '--list shows all that is shared: leave the rest out.')
    const client = await node()
    if (list) return listOutcome(client, signal)
    const wish = persona === undefined ? {} : { persona }
    if (stop) {
      const answer = stopped.parse(await client.call('POST', '/v1/shares/stop', wish, { signal }))
      return { json: answer, text: `${answer.persona} is shared no more.` }
    }
    const shared = sharedNow.parse(await client.call('POST', '/v1/shares', wish, { signal }))
    terminal.say(shownText(shared))
    if (!shared.online) terminal.say(startHint)
    return { json: shared, text: shared.link }
  },
})

function shownText({ persona, releases, words, link }: z.infer<typeof sharedNow>): string {
  const inIt = words.map((word) => `"${word}"`).join(', ')
  return [
    `Whoever has this link (${link.length} characters) sees what ${persona} is made of: ${releases.join(' + ')}`,
    ...(words.length === 0 ? [] : [`and these words of the request: ${inIt}`]),
  ].join('\n')
}

async function listOutcome(client: HttpClient, signal: AbortSignal): Promise<Outcome> {
  const answer = shares.parse(await client.call('GET', '/v1/shares', {}, { signal }))
  const rows = answer.shared.map(({ persona, releases, link }) => [
    persona,
    countText(releases.length, 'release'),
    link,
  ])
  const hint = answer.online || rows.length === 0 ? [] : ['Nobody can open them now: run `lora-mesh up`.']
  return { json: answer, text: [rows.length === 0 ? 'Nothing is shared.' : tableText(rows), ...hint].join('\n') }
}
