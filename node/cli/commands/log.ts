import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import type { LogVerdict, WholeLog } from '../../../registry/index.ts'
import type { HttpClient } from '../../http/index.ts'
import { errorCode, unusable } from '../../private-file.ts'
import { chooseCommunity, communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import type { Command } from '../command.ts'
import { entryCells, logAnswer } from '../log-texts.ts'
import type { LogAnswer } from '../log-texts.ts'
import { nearest } from '../nearest.ts'
import type { Terminal } from '../terminal.ts'
import { bytesText, countText, tableText } from '../units.ts'

const logCommand = command({
  name: 'log',
  summary: 'Show who did what in a community, the newest last',
  description:
    'Everything is signed by whoever did it. Times are what authors state; the order within one log, and of certificates, is the signed one. ' +
    'What lies in a log from where its author signed two records is shown in its place, and void.',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    ...communityOption,
    by: {
      type: 'string',
      value: 'IDENTITY',
      summary: 'Only what this one signed: first characters of an identity, or you',
    },
    type: {
      type: 'string',
      value: 'TYPE',
      multiple: true,
      summary:
        'Only release, withdrawal, proposal, ballot, comment, evaluation, certificate ...; may be given several times',
    },
    about: {
      type: 'string',
      value: 'WHAT',
      summary:
        'Only what is about a release (NAME@VERSION), a capability, or an id of which these are the first digits',
    },
    since: { type: 'string', value: 'DATE', summary: 'Not before this day or time (UTC)' },
    until: { type: 'string', value: 'DATE', summary: 'Not after this day or time (UTC)' },
    limit: { type: 'string', value: 'N', summary: 'At most so many, the newest (default 50)' },
    steps: { type: 'boolean', summary: "Also the steps of the delegates' agreement" },
  },
  examples: [
    'lora-mesh log',
    'lora-mesh log --type ballot --type certificate --about biology --since 2026-01-31 --json',
  ],
  async run({ options, node, signal }) {
    await requireTypes(options.type)
    const { community, by, type, about, since, until, limit, steps } = options
    const client = await node()
    const wish = {
      by,
      type: type.length === 0 ? undefined : type.join(','),
      about,
      since: since === undefined ? undefined : timeText(since, 'T00:00:00.000Z'),
      until: until === undefined ? undefined : timeText(until, 'T23:59:59.999Z'),
      limit,
      steps,
    }
    const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined))
    const path = `/v1/communities/${await chooseCommunity(client, community, signal)}/log`
    const answer = logAnswer.parse(await client.call('GET', path, given, { signal }))
    return { json: answer, text: logText(answer) }
  },
})

/** Before a node is started for it. */
async function requireTypes(given: readonly string[]): Promise<void> {
  if (given.length === 0) return
  const { trailTypes } = await import('../../../registry/index.ts')
  const wrong = given.find((type) => !trailTypes.some((known) => known === type))
  if (wrong === undefined) return
  const meant = nearest(wrong, trailTypes)
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`
  throw new MeshError('usage', `--type ${wrong}: write ${trailTypes.join(', ')}.${hint}`)
}

/** Of a day its beginning, or its end. */
function timeText(text: string, ofDay: string): string {
  const time = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? text + ofDay : text)
  if (Number.isNaN(time.getTime())) {
    throw new MeshError('usage', `"${text.slice(0, 40)}" is no date: write 2026-01-31 or 2026-01-31T12:00:00Z.`)
  }
  return time.toISOString()
}

function logText({ entries, older, stepsHidden }: LogAnswer): string {
  if (entries.length === 0) return 'Nothing fits.'
  return [
    ...(older === 0 ? [] : [`${older} older: --limit ${entries.length + older} shows all.`]),
    tableText([['time, as its author states it', 'id', 'who', 'what'], ...entries.map(entryCells)]),
    ...(stepsHidden === 0
      ? []
      : [`${countText(stepsHidden, 'step')} of the delegates' agreement: --steps shows them.`]),
  ].join('\n')
}

const exported = z.object({ file: z.string(), lines: z.number(), bytes: z.number() })
type Exported = z.infer<typeof exported>

const logExportCommand = command({
  name: 'log export',
  summary: "Write a community's whole log into a file that anybody can check",
  description:
    'JSON lines: all records and certificates that this node holds, signed by this device. FILE - is standard output. `lora-mesh log verify FILE` checks it, also on a machine without a node.',
  positionals: 'FILE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { ...communityOption, force: { type: 'boolean', summary: 'Replace the file if it exists' } },
  examples: [
    'lora-mesh log export kitchen.jsonl',
    'lora-mesh log export - --community kitchen | gzip > kitchen.jsonl.gz',
  ],
  async run({ positionals: [file = ''], options: { community, force }, node, signal, terminal }) {
    const client = await node()
    const named = await chooseCommunity(client, community, signal)
    const wish = { client, terminal, signal, community: named }
    if (file === '-') {
      await printExport(wish)
      return undefined
    }
    const result = await exportTo(wish, resolve(file), force)
    const text = `${result.file}: ${countText(result.lines, 'line')}, ${bytesText(result.bytes)}. Check it with: lora-mesh log verify ${file}`
    return { json: result, text }
  },
})

interface ExportCall {
  readonly client: HttpClient
  readonly terminal: Terminal
  readonly signal: AbortSignal
  readonly community: string
}

const progressSchema = z.looseObject({ bytes: z.number(), lines: z.number(), total: z.number() })

async function exportTo(call: ExportCall, file: string, force: boolean): Promise<Exported> {
  const { client, terminal, signal, community } = call
  const path = `/v1/communities/${community}/log/export`
  const onEvent = (event: object): void => {
    const { lines, total, bytes } = progressSchema.parse(event)
    terminal.progress.show({ label: 'log', doneBytes: bytes, totalBytes: Math.round((bytes * (total + 2)) / lines) })
  }
  return exported.parse(await client.call('POST', path, { file, force }, { signal, onEvent }))
}

/** By way of a file: the node that writes it may be another process. */
async function printExport(call: ExportCall): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-log-'))
  try {
    const { file } = await exportTo(call, join(folder, 'log.jsonl'), false)
    call.terminal.progress.clear()
    let lines = 0
    for await (const line of createInterface({ input: createReadStream(file) })) {
      call.signal.throwIfAborted()
      call.terminal.print(line)
      // Whoever reads slower than a disk must not make this process keep everything.
      if (++lines % 256 === 0) await call.terminal.flush()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const logVerifyCommand = command({
  name: 'log verify',
  summary: 'Check an exported log: every signature, every chain, every certificate',
  description:
    'Needs no node and no data folder. FILE - is standard input. Exits 1 when a line is wrong, and says which and why.',
  positionals: 'FILE',
  minPositionals: 1,
  maxPositionals: 1,
  options: {},
  examples: ['lora-mesh log verify kitchen.jsonl', 'gunzip -c kitchen.jsonl.gz | lora-mesh log verify - --json'],
  async run({ positionals: [file = ''], signal, terminal }) {
    const { verifyLog } = await import('../../../registry/index.ts')
    const verdict = await verifyLog(chunksOf(file, signal, terminal))
    const ok = verdict.kind === 'whole'
    return { json: { file, ok, ...verdict }, text: verdictText(file, verdict), exitCode: ok ? 0 : 1 }
  },
})

async function* chunksOf(file: string, signal: AbortSignal, terminal: Terminal): AsyncGenerator<Uint8Array> {
  let doneBytes = 0
  try {
    const totalBytes = file === '-' ? undefined : (await stat(file)).size
    const stream = file === '-' ? process.stdin : createReadStream(file, { signal })
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      yield chunk
      doneBytes += chunk.length
      if (totalBytes !== undefined) terminal.progress.show({ label: 'checking', doneBytes, totalBytes })
    }
  } catch (error) {
    signal.throwIfAborted()
    if (errorCode(error) === 'ENOENT') throw new MeshError('not-found', `There is no file ${file}.`, { file })
    throw errorCode(error) === undefined ? error : unusable(error, file)
  }
}

function verdictText(file: string, verdict: LogVerdict): string {
  if (verdict.kind === 'broken') return `${file} is not as it was exported. Line ${verdict.line}: ${verdict.why}`
  return [...wholeRows(file, verdict), ...cannotKnow].join('\n')
}

function wholeRows(file: string, whole: WholeLog): string[] {
  const { name, exportedBy, exportedAt, records, logs, authors, forks, certificates, members, stateHash } = whole
  const hash = Buffer.from(stateHash).toString('hex')
  return [
    `${file} is whole: every line is as it was signed.`,
    tableText([
      ['community', name],
      ['records', `${records} in ${countText(logs, 'log')} of ${countText(authors, 'author')}`],
      ['forks', forks === 0 ? 'none' : `${forks}: their authors signed two records at one position`],
      [
        'certificates',
        `${certificates}, each following from the one before; ${countText(members, 'member')} after the last`,
      ],
      ['state', hash],
      ['exported by', exportedBy],
      ['exported at', `${exportedAt}, as the exporter says`],
    ]),
  ]
}

const cannotKnow = [
  'What this cannot show: whether the exporter left out whole logs, or the end of a log or of the certificates.',
  'Compare the state with what other members have: lora-mesh community list --json',
]

export const logCommands: readonly Command[] = [logCommand, logExportCommand, logVerifyCommand]
