// What a publisher is offered to say of an adapter: from what the adapter says of itself, what was published under its name before, and
// what can be measured. A proposal binds nobody; nothing of it is kept.
import { toHex } from '../protocol/index.ts'
import type { LookAlike, Manifest } from '../protocol/index.ts'
import { readAdapterCard } from './adapter-card.ts'
import type { AdapterCard } from './adapter-card.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { noLicence, unknownLicenceNote } from './licence.ts'
import { namesLike } from './look-alike-names.ts'
import { evaluationText } from './manifest-text.ts'
import { measureSuites, readSuites } from './measure-suites.ts'
import type { MeasuredSuite } from './measure-suites.ts'
import { changesOnSuites, nextVersion, percent } from './next-version.ts'
import type { PreviousShape, ProposedVersion, VersionedShape } from './next-version.ts'
import { isForBase, ownManifests } from './own-releases.ts'
import { significantZ } from './proportion.ts'
import { baseOf } from './release-wish.ts'
import type { PublishWish } from './release-wish.ts'
import { stageAdapter, stagingFolder } from './stage-adapter.ts'

/** What the publisher has said so far; the rest is proposed to fit it. */
export type ProposalWish = Pick<
  PublishWish,
  'path' | 'licence' | 'capabilities' | 'tags' | 'scale' | 'trigger' | 'systemPrompt' | 'suites' | 'base'
> & { readonly name?: string | undefined; readonly summary?: string | undefined }

export interface ReleaseProposal {
  readonly base: { readonly id: string; readonly label: string }
  /** Fields are absent where nothing could be found out; `unknown` names them. */
  readonly name?: string
  readonly version?: ProposedVersion
  readonly summary?: string
  readonly licence: string
  readonly capabilities: PublishWish['capabilities']
  readonly tags: readonly string[]
  readonly unknown: readonly ('name' | 'version' | 'summary' | 'licence')[]
  /** Versions of this name for this base that are taken, the highest first. */
  readonly published: readonly string[]
  readonly lookAlikes: readonly LookAlike[]
  /** What was measured and found out, a sentence each. */
  readonly notes: readonly string[]
}

/** Emits the steps `convert`, `check` and `evaluate`, and `asked`. Throws what checking the adapter throws. */
export async function proposeRelease(node: Node, wish: ProposalWish, context: CallContext): Promise<ReleaseProposal> {
  const base = baseOf(node, wish.base)
  const suites = await readSuites(wish.suites ?? [], context.signal)
  await using folder = await stagingFolder(node)
  const staged = await stageAdapter(node, wish.path, base, folder, context)
  const card = await readAdapterCard(wish.path)
  if (suites.length > 0) context.emit({ type: 'step', step: 'evaluate' })
  const adapter = { path: staged.path, sha256: staged.sha256, scale: wish.scale }
  const measured = await measureSuites(node, base, adapter, suites, context)
  const { sha256, info } = staged
  return describe(node, wish, { base, card, measured, sha256, targets: info.targets, rank: info.rank })
}

interface Findings extends Pick<VersionedShape, 'targets' | 'rank'> {
  readonly base: KnownBase
  readonly card: AdapterCard
  readonly measured: readonly MeasuredSuite[]
  /** Of the adapter, hex. */
  readonly sha256: string
}

function describe(node: Node, wish: ProposalWish, findings: Findings): ReleaseProposal {
  const { base, card } = findings
  const name = wish.name ?? card.name
  const past = name === undefined ? [] : ownManifests(node, name)
  const before = past.find((manifest) => isForBase(manifest, base.id)) ?? past[0]
  const summary = wish.summary ?? card.summary ?? before?.summary
  const licence = wish.licence ?? card.licence ?? before?.licence ?? noLicence
  const licenceNote = unknownLicenceNote(licence)
  const capabilities = capabilitiesOf(wish, before, name, summary)
  const shape = shapeOf(wish, findings, capabilities)
  const proposed = {
    ...(name === undefined ? {} : { name, version: nextVersion(before && pastShape(before), shape) }),
    ...(summary === undefined ? {} : { summary }),
  }
  return {
    base: { id: base.id, label: base.label },
    ...proposed,
    licence,
    capabilities,
    tags: wish.tags.length > 0 ? wish.tags : card.tags.length > 0 ? card.tags : (before?.tags ?? []),
    unknown: [
      ...(name === undefined ? (['name', 'version'] as const) : []),
      ...(summary === undefined ? (['summary'] as const) : []),
      ...(licence === noLicence ? (['licence'] as const) : []),
    ],
    published: past.filter((manifest) => isForBase(manifest, base.id)).map(({ version }) => version),
    lookAlikes: name === undefined ? [] : namesLike(node, name),
    notes: [
      ...sameBytes(findings, past),
      ...notesOf(findings, before),
      ...(licenceNote === undefined ? [] : [licenceNote]),
    ],
  }
}

/** What was offered before goes on being offered: leaving a capability out is a decision, not an oversight. */
function capabilitiesOf(
  wish: ProposalWish,
  before: Manifest | undefined,
  name: string | undefined,
  summary: string | undefined,
): PublishWish['capabilities'] {
  if (wish.capabilities.length > 0) return wish.capabilities
  if (before !== undefined) return before.capabilities
  return name === undefined || summary === undefined ? [] : [{ name, description: summary }]
}

function shapeOf(wish: ProposalWish, findings: Findings, capabilities: PublishWish['capabilities']): VersionedShape {
  const { base, targets, rank, measured } = findings
  return {
    baseId: base.id,
    targets,
    rank,
    trigger: wish.trigger,
    systemPrompt: wish.systemPrompt,
    capabilities: capabilities.map(({ name }) => name),
    evaluations: measured.map(({ evaluation }) => evaluation),
  }
}

function pastShape({ version, base, adapter, use, capabilities, evaluations }: Manifest): PreviousShape {
  return {
    version,
    baseId: toHex(base.id),
    targets: adapter.targets,
    rank: adapter.rank,
    trigger: use.trigger,
    systemPrompt: use.systemPrompt,
    capabilities: capabilities.map(({ name }) => name),
    evaluations,
  }
}

function sameBytes({ sha256 }: Findings, past: readonly Manifest[]): string[] {
  const same = past.find(({ adapter }) => toHex(adapter.sha256) === sha256)
  return same === undefined ? [] : [`It is byte for byte the adapter of ${same.name}@${same.version}.`]
}

function notesOf({ base, card, measured }: Findings, before: Manifest | undefined): string[] {
  const evaluations = measured.map(({ evaluation }) => evaluation)
  const worse = changesOnSuites(before?.evaluations ?? [], evaluations).filter(({ z }) => z < -significantZ)
  return [
    ...measured.map(({ label, evaluation }) => `${label}: ${evaluationText(evaluation)}.`),
    ...worse.map(
      ({ before: then, now }) =>
        `It does worse than ${before?.version}: ${percent(now)} instead of ${percent(then)}, more than chance explains.`,
    ),
    ...(card.baseModel === undefined
      ? []
      : [`Its card says it was trained on ${printable(card.baseModel)}; it is measured on ${base.label}.`]),
  ]
}

/** A card is somebody's text, and this line goes to a terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, 128)
}
