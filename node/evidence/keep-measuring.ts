// A member's node that holds both releases of a proposed upgrade runs the suite itself while it stays up, one proposal after the other, and
// says what came out: so that a vote rests on more than one node's word.
import { isMeshError, toHex } from '../../protocol/index.ts'
import type { ProposalView } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import { canMeasure, comparisonOf, measureAndReport } from './measure-proposal.ts'
import type { Comparison } from './measure-proposal.ts'

/** Until it is disposed of. */
export function keepMeasuring(node: Node): AsyncDisposable {
  const stopped = new AbortController()
  const failed = new Set<string>()
  let work: Promise<void> | undefined
  const measureAll = async (): Promise<void> => {
    for (let next = nextComparison(node, failed); next !== undefined; next = nextComparison(node, failed)) {
      await measureOne(node, next, failed, stopped.signal)
      if (stopped.signal.aborted) return
    }
  }
  const start = (): void => {
    work ??= measureAll().finally(() => (work = undefined))
  }
  const stop = node.registry.onEvent(({ kind }) => {
    if (kind === 'records' || kind === 'decided' || kind === 'community') start()
  })
  start()
  return {
    async [Symbol.asyncDispose]() {
      stop()
      stopped.abort()
      await work
    },
  }
}

async function measureOne(node: Node, comparison: Comparison, failed: Set<string>, signal: AbortSignal): Promise<void> {
  const name = toHex(comparison.release).slice(0, 12)
  try {
    const { difference } = await measureAndReport(node, comparison, { signal, emit() {} })
    const { value, againstValue, n } = difference
    node.options.log(
      `Measured the proposed release ${name} on ${n} questions: ${percent(value)} against ${percent(againstValue)}.`,
    )
  } catch (error) {
    if (signal.aborted) return
    if (!isMeshError(error)) throw error
    node.options.log(`The proposed release ${name} could not be measured: ${error.message}`)
  } finally {
    // Once a run of this process is enough: what was said need not be said again, what failed would fail again.
    failed.add(keyOf(comparison))
  }
}

function nextComparison(node: Node, done: ReadonlySet<string>): Comparison | undefined {
  for (const { id, state } of communitiesOf(node)) {
    if (state !== 'following' || !isMember(node, id)) continue
    for (const proposal of node.registry.governance.proposals(id)) {
      const comparison = proposal.standing.kind === 'open' ? comparisonOf(node, proposal) : undefined
      if (comparison === undefined || done.has(keyOf(comparison)) || !canMeasure(node, comparison)) continue
      if (!wasReported(node, proposal)) return comparison
    }
  }
  return undefined
}

function communitiesOf(node: Node) {
  return node.registry.communities()
}

function isMember(node: Node, community: Uint8Array): boolean {
  return node.registry.governance.members(community).some(({ own }) => own)
}

function wasReported(node: Node, { community, id }: ProposalView): boolean {
  const self = toHex(node.options.keys.author.identity)
  return node.registry.governance.tally(community, id).receipts.some(({ author }) => toHex(author) === self)
}

function keyOf({ community, release, against, suite }: Comparison): string {
  return [community, release, against ?? new Uint8Array(), suite].map(toHex).join(' ')
}

function percent(millionths: number): string {
  return `${(millionths / 1e4).toFixed(1)} %`
}
