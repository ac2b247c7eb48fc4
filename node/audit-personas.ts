// What is wrong with what is installed: releases this node holds, and those its personas name. Says what was found and what to do; changes
// nothing but that a damaged file is used no more.
import { fromHex, identityToText, isMeshError } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { CatalogueEntry } from '../registry/index.ts'
import type { Node } from './create-node.ts'
import { errorBody } from './error-mapping.ts'
import { lostChannels } from './governed-releases.ts'
import type { CallContext } from './http/index.ts'
import type { Persona } from './persona-store.ts'

export type AuditCode =
  | 'withdrawn'
  | 'publisher-forked'
  | 'publisher-left'
  | 'evaluation-refuted'
  | 'damaged'
  | 'missing'
  | 'unlisted'
  | 'base-unknown'
  | 'base-changed'
  | 'persona-damaged'

export interface AuditFinding {
  readonly code: AuditCode
  /** `name@version`, or the base's label, or the persona's id. */
  readonly subject: string
  readonly releaseId?: string
  /** Newest personas with it. */
  readonly personas: readonly string[]
  readonly sentence: string
  /** What to do. */
  readonly advice: string
  /** Whether anything has to be done at all. */
  readonly needed: boolean
}

export interface Audit {
  readonly releases: number
  readonly personas: number
  readonly findings: readonly AuditFinding[]
  /** Whether no finding needs anything done. */
  readonly ok: boolean
}

/** A measurement that others could not repeat. Values in the suite's metric, millionths. */
export interface Refutation {
  /** Hex of the suite's SHA-256. */
  readonly suite: string
  readonly claimed: number
  readonly measured: number
  /** How many members measured it. */
  readonly receipts: number
}

/** What the members' receipts say against the evaluations that a release's manifest claims. */
export type RefutationsOf = (releaseId: string) => readonly Refutation[]

/** A release as an audit meets it: what is claimed of it, and which personas have it. */
interface Installed {
  readonly id: string
  readonly label: string
  /** Identity text. */
  readonly publisher: string
  readonly personas: readonly Persona[]
}

type AuditNode = Pick<Node, 'registry' | 'releases' | 'personas' | 'bases'>

/** Reads adapters again that have changed on the disk since they were last read. Emits {type: 'checked', release}. Throws `aborted`. */
export async function auditPersonas(
  node: AuditNode,
  { signal, emit }: CallContext,
  refutationsOf: RefutationsOf = () => [],
): Promise<Audit> {
  const { personas: all, damaged } = await node.personas.survey()
  const personas = all.filter(({ note }) => note.follows === 'stay' || note.successor === undefined)
  const installed = installedReleases(node, personas)
  const forked = forkedAuthors(node)
  const members = currentMembers(node)
  const findings: AuditFinding[] = damaged.map(personaDamaged)
  for (const release of installed) {
    const broken = await whatIsBroken(node, release, signal)
    const claims = [
      ...withdrawal(node, release),
      ...fork(release, forked),
      ...departure(release, members),
      ...refutationsOf(release.id).map((refutation) => refuted(release, refutation)),
    ]
    findings.push(...broken, ...claims)
    emit({ type: 'checked', release: release.label })
  }
  for (const persona of personas) findings.push(...(await baseFindings(node, persona)))
  return {
    releases: installed.length,
    personas: personas.length + damaged.length,
    findings: findings.toSorted(bySubject),
    ok: findings.every(({ needed }) => !needed),
  }
}

function installedReleases(node: AuditNode, personas: readonly Persona[]): Installed[] {
  const found = new Map<string, Installed>()
  const add = (id: string, { name, version, publisher }: Manifest): void =>
    void found.set(id, { id, label: `${name}@${version}`, publisher: identityToText(publisher), personas: [] })
  for (const { id, signed } of node.releases.list()) add(id, signed.manifest)
  for (const { id } of node.releases.leftOut()) {
    const entry = entryOf(node, { id })
    if (entry === undefined) found.set(id, { id, label: id.slice(0, 12), publisher: '', personas: [] })
    else add(id, entry.manifest)
  }
  for (const persona of personas) {
    for (const { releaseId: id, name, version, publisher } of persona.lockfile.releases) {
      const known = found.get(id) ?? { id, label: `${name}@${version}`, publisher, personas: [] }
      found.set(id, { ...known, personas: [...known.personas, persona] })
    }
  }
  return [...found.values()]
}

function withdrawal(node: AuditNode, release: Installed): AuditFinding[] {
  const reason = entryOf(node, release)?.withdrawn
  if (reason === undefined) return []
  const lost = lostChannels(node.registry).find(({ releaseId }) => releaseId === release.id)
  const needed = lost !== undefined || release.personas.length > 0
  const advice = needed
    ? 'What has it goes on working. See `lora-mesh outdated` for what may take its place.'
    : 'It is only served to others: nothing has to be done.'
  const sentence = `It was withdrawn: ${reason}`
  return [{ ...finding('withdrawn', release, sentence, lost?.sentence ?? advice), needed }]
}

function fork(release: Installed, forked: ReadonlySet<string>): AuditFinding[] {
  if (!forked.has(release.publisher)) return []
  const sentence = 'Its publisher signed two different histories: somebody else may have the key.'
  const advice = 'Ask the publisher. Until then use no newer release of this publisher.'
  return [finding('publisher-forked', release, sentence, advice)]
}

/** Only what counted as a member's when a persona was made can have lost that. */
function departure(release: Installed, members: ReadonlySet<string>): AuditFinding[] {
  const losers = release.personas.filter(({ note }) => note.memberPublishers?.includes(release.publisher) === true)
  if (losers.length === 0 || members.has(release.publisher)) return []
  const sentence = 'Its publisher is no longer a member of any community you follow.'
  const advice = 'Ask the community why, or make the request again to have it replaced.'
  return [finding('publisher-left', { ...release, personas: losers }, sentence, advice)]
}

function refuted(release: Installed, { suite, claimed, measured, receipts }: Refutation): AuditFinding {
  const values = `${claimed / 1e6} on suite ${suite.slice(0, 12)}, and ${receipts} members measured ${measured / 1e6}`
  const advice = 'Measure it yourself with `lora-mesh eval`, or make the request again.'
  return finding('evaluation-refuted', release, `Its publisher claims ${values}.`, advice)
}

async function whatIsBroken(node: AuditNode, release: Installed, signal: AbortSignal): Promise<AuditFinding[]> {
  const held = node.releases.get(release.id)
  const leftOut = node.releases.leftOut().find(({ id }) => id === release.id)
  const name = release.label.split('@')[0]!
  if (held === undefined && leftOut === undefined) {
    return [finding('missing', release, 'It is not on this node.', `Get it with \`lora-mesh seed ${name}\`.`)]
  }
  const problem = leftOut?.message ?? (held && (await damageOf(node, held, signal)))
  if (problem !== undefined) return [finding('damaged', release, problem, 'Run `lora-mesh verify` to get it again.')]
  if (entryOf(node, release) !== undefined) return []
  const sentence = 'No log and no note tells of it any more.'
  return [finding('unlisted', release, sentence, 'Meet peers of its community, or make the request again.')]
}

async function damageOf(
  node: AuditNode,
  held: NonNullable<ReturnType<Node['releases']['get']>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await node.releases.requireIntact(held, signal)
    return undefined
  } catch (error) {
    if (signal.aborted || !isMeshError(error, 'hash-mismatch')) throw error
    return error.message
  }
}

async function baseFindings(node: AuditNode, persona: Persona): Promise<AuditFinding[]> {
  const { base } = persona.lockfile
  const fits = node.bases.list().filter(({ id, file }) => id === base.id && (base.file ?? file) === file)
  const about = { subject: base.label, personas: [persona.id], needed: true }
  if (fits.length === 0) {
    const sentence = `This node has no base with the id ${base.id.slice(0, 12)}.`
    return [{ code: 'base-unknown', ...about, sentence, advice: 'Add it with `lora-mesh base add FILE`.' }]
  }
  const problems: AuditFinding[] = []
  for (const known of fits) {
    const error: unknown = await node.bases.info(known).then(
      () => undefined,
      (failure: unknown) => failure,
    )
    if (error === undefined) return []
    const advice = `Put the file back, or add it again with \`lora-mesh base add ${known.path}\`.`
    problems.push({ code: 'base-changed', ...about, sentence: errorBody(error).message, advice })
  }
  return problems
}

function personaDamaged({ id, message }: { readonly id: string; readonly message: string }): AuditFinding {
  return {
    code: 'persona-damaged',
    subject: id,
    personas: [id],
    sentence: message,
    advice: 'Make the request again; the same releases give the same persona.',
    needed: true,
  }
}

/** Identity texts of members of followed communities who signed two records at one place of a log. */
function forkedAuthors({ registry }: AuditNode): Set<string> {
  const parts = registry
    .communities()
    .flatMap((view) => (view.state === 'following' ? registry.state(view.id).parts : []))
  return new Set(parts.filter(({ forks }) => forks.length > 0).map(({ author }) => identityToText(author)))
}

function currentMembers({ registry }: AuditNode): Set<string> {
  const members = registry.communities().flatMap((view) => (view.state === 'following' ? view.members : []))
  return new Set(members.map(({ identity }) => identityToText(identity)))
}

function entryOf({ registry }: AuditNode, { id }: Pick<Installed, 'id'>): CatalogueEntry | undefined {
  return /^[0-9a-f]{64}$/.test(id) ? registry.release(fromHex(id)) : undefined
}

function finding(code: AuditCode, { id, label, personas }: Installed, sentence: string, advice: string): AuditFinding {
  const having = personas.map((persona) => persona.id)
  return { code, subject: label, releaseId: id, personas: having, sentence, advice, needed: true }
}

function bySubject(a: AuditFinding, b: AuditFinding): number {
  return a.subject === b.subject ? (a.code < b.code ? -1 : 1) : a.subject < b.subject ? -1 : 1
}
