// While a member's node stays up it measures proposed upgrades itself, one after the other, and says what came out: so that a vote rests on
// more than one node's word. It fetches the releases it lacks for that, through the same door as any other.
import { isMeshError, toHex } from '../../protocol/index.ts'
import type { Node } from '../create-node.ts'
import { fetchReleases } from '../fetch-releases.ts'
import type { CallContext } from '../http/index.ts'
import { measureAndReport } from './measure-proposal.ts'
import type { Comparison } from './measure-proposal.ts'
import { comparisonKey, missingReleases, nextComparison } from './open-comparisons.ts'
import type { MissingRelease } from './open-comparisons.ts'
import { Resting } from './resting.ts'

/** What could not be fetched is tried again after this. */
const restMs = 5 * 60_000

/** Until it is disposed of. */
export function keepMeasuring(node: Node): AsyncDisposable {
  const stopped = new AbortController()
  const measuring = new Measuring(node, { signal: stopped.signal, emit() {} })
  let work: Promise<void> | undefined
  const start = (): void => {
    work ??= measuring
      .untilNothingIsLeft()
      .catch((error: unknown) => node.options.log(`Measuring failed: ${String(error)}`))
      .finally(() => (work = undefined))
  }
  const stop = node.registry.onEvent(({ kind }) => {
    if (kind === 'records' || kind === 'decided' || kind === 'community') start()
  })
  const again = setInterval(start, restMs).unref()
  start()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(again)
      stop()
      stopped.abort()
      await work
    },
  }
}

class Measuring {
  readonly #node: Node
  readonly #context: CallContext
  /** Once a run of this process is enough: what was said need not be said again, what failed would fail again. */
  readonly #done = new Set<string>()
  readonly #resting: Resting

  constructor(node: Node, context: CallContext) {
    this.#node = node
    this.#context = context
    this.#resting = new Resting(restMs, node.options.clock)
  }

  async untilNothingIsLeft(): Promise<void> {
    while (!this.#context.signal.aborted) {
      const comparison = nextComparison(this.#node, this.#done)
      const missing = comparison === undefined ? this.#nextMissing() : undefined
      if (comparison !== undefined) await this.#measure(comparison)
      else if (missing !== undefined) await this.#fetch(missing)
      else return
    }
  }

  #nextMissing(): MissingRelease | undefined {
    const missing = missingReleases(this.#node, this.#done)
    return missing.find(({ entry }) => !this.#resting.rests(toHex(entry.releaseId)))
  }

  async #measure(comparison: Comparison): Promise<void> {
    const name = toHex(comparison.release).slice(0, 12)
    try {
      const { difference } = await measureAndReport(this.#node, comparison, this.#context)
      const { value, againstValue, n } = difference
      this.#node.options.log(
        `Measured the proposed release ${name} on ${n} questions: ${percent(value)} against ${percent(againstValue)}.`,
      )
    } catch (error) {
      if (this.#context.signal.aborted) return
      if (!isMeshError(error)) throw error
      this.#node.options.log(`The proposed release ${name} could not be measured: ${error.message}`)
    } finally {
      this.#done.add(comparisonKey(comparison))
    }
  }

  async #fetch({ entry, base }: MissingRelease): Promise<void> {
    const { name, version } = entry.manifest
    try {
      await fetchReleases(this.#node, [entry], base, this.#context)
    } catch (error) {
      if (this.#context.signal.aborted) return
      const message = error instanceof Error ? error.message : String(error)
      if (!this.#resting.failed(toHex(entry.releaseId))) return
      this.#node.options.log(
        `${name}@${version} is to be measured and could not be fetched: ${message} It is tried again.`,
      )
    }
  }
}

function percent(millionths: number): string {
  return `${(millionths / 1e4).toFixed(1)} %`
}
