// The other end: how a command talks to a node, its own process's or a daemon's, which makes no difference to it.
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { MeshError, errorCodes } from '../../protocol/index.ts'
import type { MeshErrorCode } from '../../protocol/index.ts'
import type { OperationEvent, Route } from './route.ts'

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly onEvent?: ((event: OperationEvent) => void) | undefined
}

export interface HttpClient {
  readonly url: string
  /** Throws the MeshError that the node answered, `not-reachable` if nobody answers, `aborted` by `signal`. */
  call(method: Route<never>['method'], path: string, input?: object, options?: CallOptions): Promise<unknown>
}

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
})
const eventSchema = z.looseObject({ type: z.string() })

export function httpClient(url: string, token: string): HttpClient {
  return {
    url,
    async call(method, path, input, options = {}) {
      try {
        const response = await send(url, token, method, path, input, options.signal).catch((error: unknown) => {
          throw brokenOff(error) ? lost(url, error, false) : error
        })
        return await readAnswer(response, options.onEvent)
      } catch (error) {
        if (options.signal?.aborted) throw abortReason(options.signal)
        throw brokenOff(error) ? lost(url, error, true) : error
      }
    },
  }
}

function send(
  url: string,
  token: string,
  method: string,
  path: string,
  input: object | undefined,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const target = new URL(path, url)
  const body = method === 'GET' ? undefined : JSON.stringify(input ?? {})
  if (method === 'GET')
    for (const [key, value] of Object.entries(input ?? {})) target.searchParams.set(key, String(value))
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  }
  return new Promise((done, failed) => {
    const request = httpRequest(
      target,
      { method, headers, agent: false, ...(signal === undefined ? {} : { signal }) },
      done,
    )
    request.once('error', failed)
    request.end(body)
  })
}

async function readAnswer(response: IncomingMessage, onEvent: CallOptions['onEvent']): Promise<unknown> {
  if (response.headers['content-type']?.startsWith('application/x-ndjson')) return readEvents(response, onEvent)
  let text = ''
  for await (const line of lines(response)) text += line
  const value: unknown = JSON.parse(text)
  if (response.statusCode === 200) return value
  throw meshError(z.object({ error: errorSchema }).parse(value).error)
}

async function readEvents(response: IncomingMessage, onEvent: CallOptions['onEvent']): Promise<unknown> {
  for await (const line of lines(response)) {
    const event = eventSchema.parse(JSON.parse(line))
    if (event.type === 'result') return event['result']
    if (event.type === 'error') throw meshError(errorSchema.parse(event['error']))
    onEvent?.(event)
  }
  throw lost('the other end of this call', undefined, true)
}

/** Not node:readline: its iterator never ends when the connection breaks. */
async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
  if (rest !== '') yield rest
}

function meshError(body: z.infer<typeof errorSchema>): Error {
  return Object.hasOwn(errorCodes, body.code)
    ? new MeshError(body.code as MeshErrorCode, body.message, body.details)
    : new Error(body.message)
}

/** `answered`: whether an answer had begun. */
function lost(url: string, cause: unknown, answered: boolean): MeshError {
  return new MeshError(
    'not-reachable',
    `The node at ${url} does not answer, or stopped while it worked: try again.`,
    { url, answered },
    { cause },
  )
}

/** Connection errors carry a system code. */
function brokenOff(error: unknown): boolean {
  return error instanceof Error && !(error instanceof MeshError) && 'code' in error
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new MeshError('aborted', 'Stopped.')
}
