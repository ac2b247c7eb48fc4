// Lets personas float in the background of a node that stays: whenever something new is known they are looked at, one look at a time.
import type { Node } from './create-node.ts'
import type { CurrentRelease } from './current-release.ts'
import { eventText, floatPersonas } from './float-personas.ts'
import { happeningsOf } from './govern/index.ts'

/** Until it is disposed of. What comes while it looks leads to one more look. `currentRelease`: as in `floatPersonas`. */
export function keepPersonasAfloat(node: Node, currentRelease?: CurrentRelease): AsyncDisposable {
  const stopped = new AbortController()
  const look = lookOnce(node, stopped.signal, currentRelease)
  let news = true
  let work: Promise<void> | undefined
  const lookWhileNew = async (): Promise<void> => {
    while (news && !stopped.signal.aborted) {
      news = false
      await look()
    }
    work = undefined
  }
  const start = (): void => {
    news = true
    work ??= lookWhileNew()
  }
  const stop = node.registry.onEvent(({ kind }) => {
    if (kind === 'records' || kind === 'decided' || kind === 'community' || kind === 'peers') start()
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

function lookOnce(node: Node, signal: AbortSignal, currentRelease: CurrentRelease | undefined): () => Promise<void> {
  const choice = currentRelease === undefined ? {} : { currentRelease }
  let toldBefore = new Set<string>()
  return async () => {
    try {
      const events = await floatPersonas(node, { signal, emit() {} }, choice)
      for (const event of events) {
        if (event.kind !== 'persona-moved') continue
        const { from, to, changes } = event
        happeningsOf(node).tell({ type: 'persona-moved', from, to, changes })
      }
      const lines = events.map(eventText)
      // A persona that waits for its seeders says so once, not at every peer that comes or goes.
      for (const line of lines) if (!toldBefore.has(line)) node.options.log(line)
      toldBefore = new Set(lines)
    } catch (error) {
      if (signal.aborted) return
      node.options.log(`Personas were not looked at: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
