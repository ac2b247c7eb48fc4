// `publish --delta-bits`: the new version as the last one plus differences of a few bits, so that whoever has the last one fetches an
// eighth to a quarter. What is published is then no longer bit by bit what was trained, so that the suites have to show that nothing is lost.
import { rename } from 'node:fs/promises'
import { chooseDeltaBits } from '../model-files/index.ts'
import type { DeltaBitsChoice } from '../model-files/index.ts'
import { MeshError, fromHex } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { shareOfRight } from './measure-suites.ts'
import type { Suite } from './measure-suites.ts'
import { versionBelow } from './own-releases.ts'
import { standardError } from './proportion.ts'
import type { HeldRelease } from './release-store.ts'
import type { DeltaBits } from './release-wish.ts'
import { checkAdapter, stagedPatchPath } from './stage-adapter.ts'
import type { StagedAdapter, StagingFolder } from './stage-adapter.ts'

export interface DeltaJob {
  readonly bits: DeltaBits
  readonly base: KnownBase
  readonly older: HeldRelease
  /** As it was trained. */
  readonly trained: StagedAdapter
  readonly scale: number
  readonly suites: readonly Suite[]
  readonly folder: StagingFolder
}

/** What differences are taken from. Throws `bad-input`. */
export function olderRelease(node: Node, name: string, version: string, base: KnownBase): HeldRelease {
  const older = versionBelow(node, name, version, fromHex(base.id))
  if (older !== undefined) return older
  throw new MeshError(
    'bad-input',
    `This node holds no version of ${name} below ${version}, so there is nothing to take a difference from: leave --delta-bits out.`,
    { name, version },
  )
}

/**
 * Tries the given number of bits, or 2 to 8 in turn, and takes the first that answers as well as what was trained: not worse by more than
 * its standard error. Tells what each would lose. Throws `bad-input` when all lose more.
 */
export async function defineByOlder(
  node: Node,
  { bits, base, older, trained, scale, suites, folder }: DeltaJob,
  context: CallContext,
): Promise<{ readonly staged: StagedAdapter; readonly patchPath: string }> {
  const { signal, emit } = context
  if (suites.length === 0)
    throw new MeshError('bad-input', 'Without a suite nobody knows what differences of few bits lose: give one.')
  await node.releases.requireIntact(older, signal)
  const rightOf = (path: string, sha256: string) => shareOfRight(node, base, { path, sha256, scale }, suites, context)
  const right = await rightOf(trained.path, trained.sha256)
  const job = {
    oldPath: older.paths.adapter,
    newPath: trained.path,
    folder: folder.path,
    evaluate: async (path: string) =>
      (await rightOf(path, (await checkAdapter(node, path, base, signal)).sha256)).share,
    tolerance: standardError(right),
    ...(bits === 'auto' ? {} : { bits: [bits] }),
  }
  const choice = await chooseDeltaBits(job, { signal })
  for (const text of trialTexts(choice, trained)) emit({ type: 'note', text })
  if (choice.chosen === undefined) throw tooMuchLost(choice)
  const { file, patch } = choice.chosen
  const patchPath = stagedPatchPath(folder.path)
  await rename(patch.path, patchPath)
  return { staged: await checkAdapter(node, file.path, base, signal), patchPath }
}

function trialTexts({ score, trials }: DeltaBitsChoice, { info }: StagedAdapter): string[] {
  return trials.map(
    ({ bits, score: reached, patchBytes }) =>
      `With differences of ${bits} bits ${percent(reached)} instead of ${percent(score)} are right; an upgrade costs ${percent(patchBytes / info.bytes)} of the file.`,
  )
}

function tooMuchLost({ score, trials }: DeltaBitsChoice): MeshError {
  const best = trials.toSorted((a, b) => a.loss - b.loss)[0]!
  return new MeshError(
    'bad-input',
    `Differences of ${best.bits} bits lose too much: ${percent(best.score)} instead of ${percent(score)} are right. Take more bits, or leave --delta-bits out.`,
    { score, trials },
  )
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
