// The evidence for an upgrade: this node asks the proposed release and the current one the questions of the suite that the community bound,
// and says in the community what came out.
import { evaluateSuite, parseSuite, rightAnswers } from '../../assembler/index.ts'
import type { SuiteItem } from '../../assembler/index.ts'
import { fromHex, MeshError, toHex } from '../../protocol/index.ts'
import type { AppendResult, ProposalView } from '../../registry/index.ts'
import type { KnownBase } from '../base-store.ts'
import type { Node } from '../create-node.ts'
import type { CallContext } from '../http/index.ts'
import { exactMatch } from '../next-version.ts'
import type { HeldRelease } from '../release-store.ts'
import { pairedDifference } from './paired-difference.ts'
import type { PairedDifference } from './paired-difference.ts'

/** The parts of a node that say what it can measure. */
export type ComparingNode = Pick<Node, 'registry' | 'releases' | 'bases'>

export interface Comparison {
  readonly community: Uint8Array
  readonly release: Uint8Array
  /** Absent: the bare base. */
  readonly against: Uint8Array | undefined
  readonly suite: Uint8Array
}

/** What an upgrade is to be measured by; undefined where the community has bound no suite, or it is no upgrade. */
export function comparisonOf(
  node: Pick<Node, 'registry'>,
  { community, action }: ProposalView,
): Comparison | undefined {
  if (action.kind !== 'upgrade') return undefined
  const suite = node.registry.governance.chain(community).suites.get(action.capability)
  return suite && { community, release: action.release, against: action.current, suite }
}

/** Whether everything that measuring needs lies here. */
export function canMeasure(node: ComparingNode, { community, release, against, suite }: Comparison): boolean {
  const held = (id: Uint8Array): boolean => node.releases.get(toHex(id)) !== undefined
  return (
    held(release) &&
    (against === undefined || held(against)) &&
    node.registry.governance.suite(community, suite) !== undefined &&
    baseOf(node, release) !== undefined
  )
}

/**
 * Emits {type: 'asked', who: 'proposed' | 'current', done, total}. Throws `not-found` for a release or suite that is not here,
 * `base-missing`, and what the engine throws.
 */
export async function measureComparison(
  node: Node,
  comparison: Comparison,
  context: CallContext,
): Promise<PairedDifference & { readonly base: KnownBase }> {
  const { community, release, against, suite } = comparison
  const questions = node.registry.governance.suite(community, suite)
  if (questions === undefined) {
    throw new MeshError(
      'not-found',
      'The questions of the suite have not arrived here yet: try again when a member is online.',
      {
        suite: toHex(suite),
      },
    )
  }
  const base = baseOf(node, release)
  if (base === undefined) {
    throw new MeshError(
      'base-missing',
      'The base of this release is not on this node: add it with `lora-mesh base add FILE`.',
    )
  }
  const items = parseSuite(new TextDecoder('utf-8', { fatal: true }).decode(questions))
  const right = await ask(node, base, heldRelease(node, release), items, 'proposed', context)
  const current = against === undefined ? undefined : heldRelease(node, against)
  const againstRight = await ask(node, base, current, items, 'current', context)
  return { ...pairedDifference(right, againstRight), base }
}

/** Measures and tells the community. Saying the same again changes nothing. */
export async function measureAndReport(
  node: Node,
  comparison: Comparison,
  context: CallContext,
): Promise<{ readonly difference: PairedDifference; readonly said: AppendResult }> {
  const { base, ...difference } = await measureComparison(node, comparison, context)
  const { community, release, against, suite } = comparison
  const said = node.registry.governance.reportEvaluation(community, {
    release,
    ...(against === undefined ? {} : { against }),
    suite,
    file: fromHex(base.file),
    metric: exactMatch,
    ...difference,
  })
  return { difference, said }
}

async function ask(
  node: Node,
  base: KnownBase,
  release: HeldRelease | undefined,
  items: readonly SuiteItem[],
  who: 'proposed' | 'current',
  { signal, emit }: CallContext,
): Promise<boolean[]> {
  const file = { path: base.path, sha256: base.file }
  const info = await node.engine.load(file, { signal })
  if (release !== undefined) await node.releases.requireIntact(release, signal)
  const adapters = release === undefined ? [] : [asTrained(release)]
  const result = await evaluateSuite(node.engine, info, adapters, items, {
    signal,
    forBase: file,
    onProgress: ({ done, total }) => emit({ type: 'asked', who, done, total }),
  })
  return rightAnswers(items, result)
}

function asTrained({ paths, signed }: HeldRelease) {
  const { adapter, use } = signed.manifest
  return { path: paths.adapter, sha256: toHex(adapter.sha256), scale: use.scale / 1e6 }
}

function heldRelease(node: Node, id: Uint8Array): HeldRelease {
  const held = node.releases.get(toHex(id))
  if (held !== undefined) return held
  throw new MeshError(
    'not-found',
    `The release ${toHex(id).slice(0, 12)} is not on this node: fetch it with \`lora-mesh seed\`.`,
    { release: toHex(id) },
  )
}

/** The base of a release that is held or known, if this node has it. */
export function baseOf(node: ComparingNode, release: Uint8Array): KnownBase | undefined {
  const manifest = node.releases.get(toHex(release))?.signed.manifest ?? node.registry.release(release)?.manifest
  if (manifest === undefined) return undefined
  const fits = node.bases.list().filter(({ id }) => id === toHex(manifest.base.id))
  return fits.find(({ file }) => file === node.bases.current()?.file) ?? fits[0]
}
