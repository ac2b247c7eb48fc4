// Asks a base the questions of suites, without and with an adapter: the evaluations of a manifest. What was measured is remembered beside
// the baked adapters, so that a publisher who looks at a proposal first, or comes back with another version, waits once.
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { evaluateSuite, parseSuite } from '../assembler/index.ts'
import type { ScaledAdapter, SuiteItem } from '../assembler/index.ts'
import { sha256File } from '../model-files/index.ts'
import { MeshError, limits, sha256, toHex, utf8 } from '../protocol/index.ts'
import type { Manifest } from '../protocol/index.ts'
import type { KnownBase } from './base-store.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'
import { exactMatch } from './next-version.ts'
import { writePrivateFile } from './private-file.ts'
import { standardError } from './proportion.ts'
import type { Proportion } from './proportion.ts'
import { readTextFile } from './read-text-file.ts'
import { readVersion } from './version.ts'

type Evaluation = Manifest['evaluations'][number]

export interface MeasuredSuite {
  /** The file's name, which isn't signed. */
  readonly label: string
  readonly evaluation: Evaluation
}

export interface Suite {
  readonly label: string
  /** 32 bytes. */
  readonly digest: Uint8Array
  readonly items: readonly SuiteItem[]
}

const scoreSchema = z.strictObject({ n: z.int().min(1), exact: z.int().min(0) })
type Score = z.infer<typeof scoreSchema>

/** Throws `not-found` and `bad-input` before anything is asked. */
export async function readSuites(paths: readonly string[], signal: AbortSignal): Promise<Suite[]> {
  if (paths.length > limits.evaluationsMax)
    throw new MeshError('bad-input', `A release has at most ${limits.evaluationsMax} suites.`, { suites: paths.length })
  const suites = new Map<string, Suite>()
  for (const path of paths) {
    const items = parseSuite(await readTextFile(path))
    const digest = await sha256File(path, { signal })
    suites.set(toHex(digest), { label: basename(path), digest, items })
  }
  return [...suites.values()]
}

/** Emits {type: 'asked', suite, who, done, total}. */
export async function measureSuites(
  node: Node,
  base: KnownBase,
  adapter: ScaledAdapter,
  suites: readonly Suite[],
  context: CallContext,
): Promise<MeasuredSuite[]> {
  const measured: MeasuredSuite[] = []
  for (const suite of suites) {
    const without = await score(node, base, undefined, suite, context)
    const withAdapter = await score(node, base, adapter, suite, context)
    const { n } = withAdapter
    const share = withAdapter.exact / n
    const evaluation = {
      suite: suite.digest,
      metric: exactMatch,
      value: Math.round(share * 1e6),
      baseValue: Math.round((without.exact / n) * 1e6),
      n,
      standardError: Math.round(standardError({ share, n }) * 1e6),
    }
    measured.push({ label: suite.label, evaluation })
  }
  return measured
}

/** Over all questions of all suites. Emits {type: 'asked', suite, who, done, total}. */
export async function shareOfRight(
  node: Node,
  base: KnownBase,
  adapter: ScaledAdapter,
  suites: readonly Suite[],
  context: CallContext,
): Promise<Proportion> {
  let [exact, n] = [0, 0]
  for (const suite of suites) {
    const found = await score(node, base, adapter, suite, context)
    exact += found.exact
    n += found.n
  }
  return { share: exact / n, n }
}

async function score(
  node: Node,
  base: KnownBase,
  adapter: ScaledAdapter | undefined,
  suite: Suite,
  { signal, emit }: CallContext,
): Promise<Score> {
  const path = memoryPath(node, base, adapter, suite)
  const known = await recall(path)
  if (known !== undefined) return known
  const file = { path: base.path, sha256: base.file }
  const info = await node.engine.load(file, { signal })
  const who = adapter === undefined ? 'base' : 'adapter'
  const result = await evaluateSuite(node.engine, info, adapter === undefined ? [] : [adapter], suite.items, {
    signal,
    forBase: file,
    onProgress: ({ done, total }) => emit({ type: 'asked', suite: suite.label, who, done, total }),
  })
  const found = { n: result.n, exact: Math.round(result.exactMatch * result.n) }
  await writePrivateFile(path, JSON.stringify(found))
  return found
}

/** Named by everything that the score depends on; this program's version stands for how it asks. */
function memoryPath(node: Node, base: KnownBase, adapter: ScaledAdapter | undefined, { digest }: Suite): string {
  const parts = [readVersion(), base.file, adapter?.sha256 ?? '', adapter?.scale ?? 0, toHex(digest)]
  return join(node.options.paths.cache, `suite-${toHex(sha256(utf8(JSON.stringify(parts)))).slice(0, 40)}.json`)
}

/** Undefined for what isn't there, or isn't what was written. */
async function recall(path: string): Promise<Score | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  try {
    return scoreSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
