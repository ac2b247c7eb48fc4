// Entry point of the engine child: the only process that runs llama.cpp. It knows files, tokens and text; no keys, no network, no names.
// One request at a time: llama.cpp uses all threads it is given anyway, and what kills the process is then the thing at hand.
import { isAbsolute } from 'node:path'
import { MeshError } from '../../protocol/index.ts'
import { serveRequests } from '../../supervisor/index.ts'
import type { RequestContext, RequestHandlers } from '../../supervisor/index.ts'
import type { EngineRequests } from '../engine-messages.ts'
import { generate } from './generate.ts'
import { loadBase } from './loaded-base.ts'
import type { LoadedBase } from './loaded-base.ts'
import { logProbabilities, scoreSequences } from './score.ts'

type Handlers = {
  [K in keyof EngineRequests]: (
    ask: EngineRequests[K]['ask'],
    context: RequestContext,
  ) => Promise<EngineRequests[K]['answer']>
}

let loaded: LoadedBase | undefined
let turn: Promise<unknown> = Promise.resolve()

function theBase(): LoadedBase {
  if (loaded === undefined)
    throw new MeshError('engine-failed', 'No base is loaded; load one first.', { reason: 'no-base' })
  return loaded
}

const handlers: Handlers = {
  async load(request) {
    if (!isAbsolute(request.path)) throw new Error('A model path must be absolute.')
    if (loaded !== undefined && (loaded.path !== request.path || loaded.sha256 !== request.sha256)) {
      throw new MeshError('engine-failed', 'This process has another base.', { reason: 'other-base' })
    }
    loaded ??= await loadBase(request)
    return loaded.info
  },
  async try({ path }) {
    const base = theBase()
    await logProbabilities(base, [{ path, scale: 1 }], [0, Math.min(1, base.info.vocabulary - 1)])
    return null
  },
  tokenize: async ({ text }) => theBase().model.tokenize(text),
  detokenize: async ({ tokens }) => theBase().model.detokenize(theBase().checkTokens(tokens)),
  score: (request, context) => scoreSequences(theBase(), request, context),
  logProbabilities: ({ adapters, tokens }) => logProbabilities(theBase(), adapters, tokens),
  generate: (request, context) => generate(theBase(), request, context),
}

/** Waits for its turn; one that was given up while waiting does nothing. */
function oneAtATime(handlers: RequestHandlers): RequestHandlers {
  return Object.fromEntries(
    Object.entries(handlers).map(([type, handler]) => [
      type,
      (payload, context) => {
        const mine = turn.then(() => {
          context.signal.throwIfAborted()
          return handler(payload, context)
        })
        turn = mine.catch(() => {})
        return mine
      },
    ]),
  )
}

serveRequests(oneAtATime(handlers as RequestHandlers))
