import { relative, resolve } from 'node:path'
import { z } from 'zod'
import { MeshError, isMeshError } from '../../../protocol/index.ts'
import type { HttpClient, OperationEvent } from '../../http/index.ts'
import { unknownLicenceNote } from '../../licence.ts'
import { backportNote } from '../../next-version.ts'
import {
  askerOn,
  capabilitiesQuestion,
  capabilitiesText,
  licenceQuestion,
  nameQuestion,
  parseCapabilities,
  probeQuestion,
  proposalSchema,
  suiteQuestion,
  summaryQuestion,
  versionQuestion,
} from '../ask-release.ts'
import type { Asker, Proposal } from '../ask-release.ts'
import { command } from '../command.ts'
import type { Outcome } from '../command.ts'
import { showProgress } from '../operation-events.ts'
import { givenFacts, publishOptions, readProbe } from '../publish-options.ts'
import type { GivenFacts } from '../publish-options.ts'
import { publishedVersions } from '../published-versions.ts'
import type { Terminal } from '../terminal.ts'
import { bytesText } from '../units.ts'

const published = z.looseObject({
  release: z.string(),
  releaseId: z.string(),
  bytes: z.number(),
  rank: z.number(),
  evaluations: z.array(z.looseObject({ value: z.number(), baseValue: z.number(), n: z.number() })),
  upgrade: z.looseObject({ bytes: z.number() }).optional(),
  lookAlikes: proposalSchema.shape.lookAlikes,
  card: z.string(),
  state: z.enum(['published', 'pending']),
  message: z.string().optional(),
})
type Published = z.infer<typeof published>

const draftSchema = z.object({ draft: z.string(), text: z.string() })
const stepEvent = z.looseObject({ step: z.string() })
const askedEvent = z.looseObject({ suite: z.string(), who: z.string(), done: z.number(), total: z.number() })
const tellEvery = 50

const steps: Readonly<Record<string, string>> = {
  convert: 'reading the adapter',
  check: 'checking it against the base',
  evaluate: 'asking the suite',
  probe: 'measuring what it does on the base',
  sign: 'signing',
  announce: 'announcing',
}

export const publishCommand = command({
  name: 'publish',
  summary: 'Publish an adapter: a PEFT folder as training leaves it, or a LoRA GGUF',
  description:
    'It is checked, measured on the base, signed, announced, and seeded while `lora-mesh up` runs. A model card is written beside it.\nWith --name, --version and --summary nothing is asked but for what is unusual. On a terminal the others are asked for, each with a\nproposal, and what will be signed is shown first; elsewhere, or with --yes, the proposals are taken.',
  positionals: 'PATH',
  minPositionals: 1,
  maxPositionals: 1,
  options: publishOptions,
  examples: [
    'lora-mesh publish ./training-output --suite recipes.suite.jsonl',
    'lora-mesh publish law.gguf --name law --version 1.2.0 --summary "answers questions about law" --licence MIT',
  ],
  async run({ positionals: [path = ''], options, node, signal, terminal }) {
    const given = await givenFacts(path, options)
    const desk = new PublishingDesk(terminal, signal, node, options.yes)
    const result = await desk.publish(given)
    const cardPath = options['no-card'] ? undefined : await keepCard(given.path, result, terminal)
    return outcome(result, cardPath)
  },
})

type Wish = GivenFacts & { readonly name: string; readonly version: string; readonly summary: string }

/** One call of `publish`: what has to be asked or proposed before the node can be told to do it. */
class PublishingDesk {
  readonly #terminal: Terminal
  readonly #signal: AbortSignal
  readonly #node: () => Promise<HttpClient>
  readonly #yes: boolean
  readonly #asker: Asker
  readonly #told = new Set<string>()

  constructor(terminal: Terminal, signal: AbortSignal, node: () => Promise<HttpClient>, yes: boolean) {
    this.#terminal = terminal
    this.#signal = signal
    this.#node = node
    this.#yes = yes
    this.#asker = askerOn(terminal, signal)
  }

  async publish(given: GivenFacts): Promise<Published> {
    if (isComplete(given)) return await this.#publishUnasked(given)
    if (this.#yes) return await this.#publishUnasked(proposedWish(given, await this.#propose(given)))
    if (!this.#terminal.interactive) throw missingFlags(given)
    return await this.#publishAsked(given)
  }

  get #mayAsk(): boolean {
    return this.#terminal.interactive && !this.#yes
  }

  async #publishUnasked(wish: Wish): Promise<Published> {
    await this.#heedBackport(wish.version, await publishedVersions(await this.#node(), wish, this.#signal))
    this.#tellLicence(wish.licence)
    const result = published.parse(await this.#probed('/v1/releases', wish))
    this.#tellLookAlikes(wish.name, result.lookAlikes)
    return result
  }

  async #publishAsked(given: GivenFacts): Promise<Published> {
    const wish = await this.#askFacts(given)
    const { draft, text } = draftSchema.parse(await this.#probed('/v1/releases/drafts', wish))
    this.#terminal.say(`\nThis will be signed, and is public then:\n\n${text.replace(/^/gm, '  ')}\n`)
    await using _ = { [Symbol.asyncDispose]: () => this.#discard(draft) }
    if (!(await this.#asker.confirm('Sign and publish it?'))) throw new MeshError('aborted', 'Nothing was published.')
    return published.parse(await this.#call(`/v1/releases/drafts/${draft}`, {}))
  }

  /** An adapter that shows nothing by itself needs questions for its probe. They become public, so nobody but a person gives them. */
  async #probed(path: string, wish: Wish): Promise<unknown> {
    try {
      return await this.#call(path, wish)
    } catch (error) {
      if (!isMeshError(error, 'probe-failed') || wish.probe !== undefined) throw error
      if (!this.#mayAsk) throw probeMissing(error, wish.suites[0])
      this.#terminal.say(`${showsNothing}: that takes questions it answers.`)
      const file = await this.#asker.ask(probeQuestion(wish.suites[0] && shortPath(wish.suites[0])))
      return await this.#call(path, { ...wish, probe: await readProbe(file) })
    }
  }

  /** Allowed, and seldom what somebody means who does not say so. */
  async #heedBackport(version: string, others: readonly string[]): Promise<void> {
    const note = backportNote(others, version)
    if (note === undefined) return
    this.#terminal.say(note)
    if (this.#mayAsk && !(await this.#asker.confirm(`Publish ${version} as a backport?`)))
      throw new MeshError('aborted', 'Nothing was published.')
  }

  /** The version comes last: it follows from what is said before. */
  async #askFacts(said: GivenFacts): Promise<Wish> {
    const given = { ...said, suites: await this.#askSuites(said) }
    const first = await this.#propose(given)
    for (const note of first.notes) this.#terminal.say(note)
    const name = given.name ?? (await this.#asker.ask(nameQuestion(first.name)))
    const known = name === first.name ? first : await this.#propose({ ...given, name })
    this.#tellLookAlikes(name, known.lookAlikes)
    const summary = given.summary ?? (await this.#asker.ask(summaryQuestion(known.summary)))
    const licence = given.licence ?? (await this.#askLicence(known.licence))
    const offered = known.capabilities.length > 0 ? known.capabilities : [{ name, description: summary }]
    const capabilities =
      given.capabilities.length > 0
        ? given.capabilities
        : parseCapabilities(await this.#asker.ask(capabilitiesQuestion(offered)))!
    const facts = { ...given, name, summary, licence, capabilities, tags: known.tags }
    const version = given.version ?? (await this.#askVersion(facts, known))
    await this.#heedBackport(version, known.published)
    return { ...facts, version }
  }

  /** First of all: what it measures is part of what is proposed. */
  async #askSuites({ suites }: GivenFacts): Promise<string[]> {
    if (suites.length > 0) return suites
    const file = await this.#asker.ask(suiteQuestion())
    return file === '' ? [] : [resolve(file)]
  }

  async #askLicence(proposed: string): Promise<string> {
    const licence = await this.#asker.ask(licenceQuestion(proposed))
    if (licence !== proposed) this.#tellLicence(licence)
    return licence
  }

  async #askVersion(facts: GivenFacts, known: Proposal): Promise<string> {
    const isUnchanged = capabilitiesText(facts.capabilities) === capabilitiesText(known.capabilities)
    const proposal = isUnchanged ? known : await this.#propose(facts)
    if (proposal.version !== undefined) this.#terminal.say(proposal.version.why)
    return await this.#asker.ask(versionQuestion(proposal))
  }

  async #propose(facts: GivenFacts): Promise<Proposal> {
    const { path, name, summary, licence, capabilities, tags, scale, trigger, systemPrompt, suites, base } = facts
    const wish = { path, name, summary, licence, capabilities, tags, scale, trigger, systemPrompt, suites, base }
    return proposalSchema.parse(await this.#call('/v1/releases/proposal', wish))
  }

  async #call(path: string, input: object): Promise<unknown> {
    const onEvent = showProgress(this.#terminal, (event) => this.#tellEvent(event))
    return await (await this.#node()).call('POST', path, input, { signal: this.#signal, onEvent })
  }

  /** Each step once: a proposal, a draft and the publication go through the same ones. */
  #tellEvent(event: OperationEvent): void {
    if (event.type === 'step') {
      const { step } = stepEvent.parse(event)
      if (!this.#told.has(step)) this.#terminal.say(steps[step] ?? step)
      this.#told.add(step)
    }
    if (event.type === 'asked') tellAsked(askedEvent.parse(event), this.#terminal)
  }

  /** Also after Ctrl-C, when nothing else is asked of the node any more. */
  async #discard(draft: string): Promise<void> {
    await (await this.#node()).call('DELETE', `/v1/releases/drafts/${draft}`)
  }

  #tellLicence(licence: string | undefined): void {
    const note = licence === undefined ? undefined : unknownLicenceNote(licence)
    if (note !== undefined) this.#terminal.say(note)
  }

  #tellLookAlikes(name: string, lookAlikes: Proposal['lookAlikes']): void {
    for (const other of lookAlikes) {
      this.#terminal.say(`Careful: ${name} can be taken for ${other.name}, which is known here (${other.why}).`)
    }
  }
}

const showsNothing = 'By itself it changes too little for others to check that it works'

function probeMissing(error: MeshError, suite: string | undefined): MeshError {
  if (suite === undefined) return error
  const again = `run again with \`--probe ${shortPath(suite)}\` (its first eight questions become public)`
  return new MeshError('probe-failed', `${showsNothing}: ${again}.`, error.details, { cause: error })
}

/** As somebody standing here would type it. */
function shortPath(path: string): string {
  const fromHere = relative('', path)
  return fromHere.startsWith('..') ? path : fromHere
}

function isComplete(given: GivenFacts): given is Wish {
  return given.name !== undefined && given.version !== undefined && given.summary !== undefined
}

function missingFlags({ name, version, summary }: GivenFacts): MeshError {
  const missing = Object.entries({ name, version, summary }).flatMap(([flag, value]) =>
    value === undefined ? [`--${flag}`] : [],
  )
  const said = missing.join(' and ').replace(/ and (?=.* and )/, ', ')
  return new MeshError('usage', `Say ${said}, or --yes to take what is proposed: see \`lora-mesh publish --help\`.`, {
    missing,
  })
}

/** Throws `usage` for what nobody could propose. */
function proposedWish(given: GivenFacts, proposal: Proposal): Wish {
  const { licence, capabilities, tags } = proposal
  const name = given.name ?? proposal.name
  const version = given.version ?? proposal.version?.version
  const summary = given.summary ?? proposal.summary
  if (name === undefined || version === undefined || summary === undefined) {
    const flag = name === undefined ? '--name' : '--summary'
    throw new MeshError(
      'usage',
      `Neither the adapter nor an earlier release tells its ${flag.slice(2)}: say ${flag}.`,
      {
        missing: [flag],
      },
    )
  }
  return { ...given, name, version, summary, licence, capabilities, tags }
}

function tellAsked({ suite, who, done, total }: z.infer<typeof askedEvent>, terminal: Terminal): void {
  const model = who === 'base' ? 'the base' : 'the base with the adapter'
  if (done === total || done % tellEvery === 0) terminal.say(`${suite}: ${done} of ${total} asked of ${model}`)
}

/** A folder that can't be written to is no reason to call a publication failed. */
async function keepCard(path: string, result: Published, terminal: Terminal): Promise<string | undefined> {
  const { writeModelCard } = await import('../../write-model-card.ts')
  const [name = '', version = ''] = result.release.replace(/^.*\//, '').split('@')
  try {
    return await writeModelCard({ path, name, version }, result.card)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    terminal.say(`The model card was not written: ${error.message}`)
    return undefined
  }
}

function outcome(result: Published, cardPath: string | undefined): Outcome {
  const { release, releaseId, bytes, rank, evaluations, upgrade, state, message } = result
  const suites = evaluations.map(
    ({ value, baseValue, n }) =>
      `${(value / 1e4).toFixed(1)} % of ${n} questions right, ${(baseValue / 1e4).toFixed(1)} % without it`,
  )
  const lines = [
    release,
    `${bytesText(bytes)}, rank ${rank}, release id ${releaseId}`,
    ...suites,
    ...(upgrade === undefined ? [] : [`An upgrade from the last version costs ${bytesText(upgrade.bytes)}`]),
    ...(cardPath === undefined ? [] : [`Model card: ${cardPath}`]),
    ...(state === 'pending' ? [`Not visible to others yet: ${message ?? 'it waits for a peer.'}`] : []),
  ]
  return { json: { ...result, ...(cardPath === undefined ? {} : { cardPath }) }, text: lines.join('\n') }
}
