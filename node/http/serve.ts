// The node's HTTP server: the gate, the routes, and what happens around a handler.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import helmet from 'helmet'
import type { z } from 'zod'
import { MeshError, isMeshError } from '../../protocol/index.ts'
import { errorBody, httpStatus, refusalOf } from '../error-mapping.ts'
import { jsonText } from '../json-text.ts'
import { passGate } from './gate.ts'
import { eventStream } from './event-stream.ts'
import type { CallContext, Route } from './route.ts'
import { serverSentEvents } from './server-sent-events.ts'
import { tokenBucket } from './token-bucket.ts'

const MAX_BODY_BYTES = 64 * 1024
const HEARTBEAT_MS = 15_000

export interface ServeOptions<Node> {
  readonly routes: readonly Route<Node>[]
  readonly node: Node
  readonly token: string
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly clock: () => number
  /** Bugs, with their stacks. */
  readonly onBug: (error: unknown) => void
  /** How often a stream of events on which nothing happens shows that it lives. Default 15 s. */
  readonly heartbeatMs?: number
}

export interface HttpServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Refuses new calls, then waits until the calls of others have ended. */
  drain(): Promise<void>
}

/** Binds loopback only. Throws `bad-config` for another address or a port that is taken. */
export async function serveHttp<Node>(options: ServeOptions<Node>): Promise<HttpServer> {
  requireLoopback(options.host)
  const calls = callTracker()
  const hosts = new Set<string>()
  const server = createServer({ requireHostHeader: false }, application(options, hosts, calls))
  server.headersTimeout = 10_000
  server.requestTimeout = 30_000
  server.maxConnections = 256
  await listen(server, options.host, options.port)
  const { port } = server.address() as AddressInfo
  const shown = options.host.includes(':') ? `[${options.host}]` : options.host
  for (const host of new Set([shown, '127.0.0.1', 'localhost'])) hosts.add(`${host}:${port}`)
  return {
    url: `http://${shown}:${port}`,
    port,
    drain: () => calls.drain(),
    async [Symbol.asyncDispose]() {
      calls.abort()
      await calls.drain()
      await close(server)
    },
  }
}

function application<Node>(
  options: ServeOptions<Node>,
  hosts: ReadonlySet<string>,
  calls: CallTracker,
): express.Express {
  const gate = {
    hosts,
    token: options.token,
    allowed: tokenBucket(400, 200, options.clock),
    failures: tokenBucket(30, 0.5, options.clock),
  }
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
  app.use(securityHeaders())
  app.use((request, _response, next) => {
    passGate(request, gate)
    next()
  })
  for (const path of new Set(options.routes.map((row) => row.path))) mountPath(app, path, options, calls)
  app.use(() => {
    throw new MeshError('not-found', 'There is no such route.')
  })
  app.use(answerError(options.onBug))
  return app
}

function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
    },
    referrerPolicy: { policy: 'no-referrer' },
    // Plain HTTP on loopback: a promise of HTTPS would lock the user out.
    strictTransportSecurity: false,
  })
}

function mountPath<Node>(app: express.Express, path: string, options: ServeOptions<Node>, calls: CallTracker): void {
  const rows = options.routes.filter((row) => row.path === path)
  for (const row of rows) {
    const body = express.json({ limit: row.maxBodyBytes ?? MAX_BODY_BYTES, strict: true, inflate: false })
    const handler: RequestHandler = async (request, response) => {
      await answerCall(row, options, request, response, calls)
    }
    // Express answers HEAD with the handler of GET: refused like every other method that no row names.
    const onlyThis: RequestHandler = (request, _response, next) =>
      next(request.method === row.method ? undefined : 'route')
    const verb = row.method === 'GET' ? 'get' : row.method === 'POST' ? 'post' : 'delete'
    app[verb](path, onlyThis, body, handler)
  }
  app.all(path, () => {
    throw new MeshError('wrong-method', `Use ${rows.map((row) => row.method).join(' or ')} here.`)
  })
}

async function answerCall<Node>(
  row: Route<Node>,
  { node, heartbeatMs = HEARTBEAT_MS }: ServeOptions<Node>,
  request: Request,
  response: Response,
  calls: CallTracker,
): Promise<void> {
  const input = row.input.safeParse({ ...request.query, ...request.params, ...(request.body as object | undefined) })
  if (!input.success) throw inputError(input.error.issues)
  using call = calls.begin(row.kind === 'events' ? 'endless' : 'ends')
  response.once('close', () => call.abort())
  const run = (context: CallContext): Promise<object> => row.handle(input.data, node, context)
  if (row.kind === 'query') {
    const answer = await run({ signal: call.signal, emit() {} })
    if (response.destroyed) return
    // The call is over when its answer has left: a node that stops afterwards must not cut it off.
    const sent = once(response, 'close')
    response.type('json').send(jsonText(answer))
    await sent
  } else if (row.kind === 'operation') {
    await eventStream(response, call.signal, run)
  } else {
    await serverSentEvents(
      response,
      { signal: call.signal, lastEventId: request.get('last-event-id'), heartbeatMs },
      run,
    )
  }
}

/** A value out of its bounds is refused for its content, anything else is wrong usage. */
function inputError(issues: readonly z.core.$ZodIssue[]): MeshError {
  const problems = issues.map((issue) => `${issue.path.join('.') || 'input'}: ${problemText(issue)}`)
  const outOfBounds = issues.every(({ code }) => code === 'too_big' || code === 'too_small')
  return new MeshError(outOfBounds ? 'bad-input' : 'usage', `This call is not valid: ${problems.join('; ')}.`, {
    problems,
  })
}

function problemText(issue: z.core.$ZodIssue): string {
  if (issue.code === 'too_big' && issue.origin === 'string') return `at most ${issue.maximum} characters are taken`
  if (issue.code === 'too_small' && issue.origin === 'string') return 'must not be empty'
  return issue.message
}

function answerError(onBug: (error: unknown) => void): ErrorRequestHandler {
  return (thrown: unknown, _request, response, next) => {
    if (response.headersSent) return next(thrown)
    const error = asRefusal(thrown)
    if (refusalOf(error) === undefined) onBug(error)
    if (isMeshError(error, 'unauthorised')) response.set('WWW-Authenticate', 'Bearer')
    response
      .set('Connection', 'close')
      .status(httpStatus(error))
      .type('json')
      .send(jsonText({ error: errorBody(error) }))
  }
}

/** express and body-parser throw errors with a status; those are the client's doing, not bugs. */
function asRefusal(error: unknown): unknown {
  if (!(error instanceof Error) || isMeshError(error) || !('status' in error)) return error
  if (error.status === 413) return new MeshError('too-large', 'This body is too large.', {}, { cause: error })
  if (error.status === 415)
    return new MeshError('not-json', 'Send plain JSON in UTF-8, not compressed.', {}, { cause: error })
  if (typeof error.status === 'number' && error.status < 500) {
    return new MeshError('bad-input', `This request could not be read: ${error.message}.`, {}, { cause: error })
  }
  return error
}

/** Calls in flight: what a stopping node aborts or waits for. */
interface CallTracker {
  /** An `endless` one is not waited for: it ends when the node begins to stop. */
  begin(length: 'ends' | 'endless'): Disposable & { readonly signal: AbortSignal; abort(): void }
  abort(): void
  drain(): Promise<void>
}

function callTracker(): CallTracker {
  const running = new Set<AbortController>()
  const endless = new Set<AbortController>()
  const drained: (() => void)[] = []
  let stopping = false
  return {
    begin(length) {
      if (stopping) throw new MeshError('stopping', 'This node is stopping: try again.', { begun: false })
      const controller = new AbortController()
      running.add(controller)
      if (length === 'endless') endless.add(controller)
      return {
        signal: controller.signal,
        abort: () => controller.abort(new MeshError('aborted', 'The caller went away.')),
        [Symbol.dispose]() {
          running.delete(controller)
          endless.delete(controller)
          if (running.size === 0) for (const done of drained.splice(0)) done()
        },
      }
    },
    abort() {
      stopping = true
      for (const controller of running) controller.abort(stoppingNow())
    },
    async drain() {
      stopping = true
      for (const controller of endless) controller.abort(stoppingNow())
      if (running.size === 0) return
      await new Promise<void>((done) => drained.push(done))
    },
  }
}

function stoppingNow(): MeshError {
  return new MeshError('stopping', 'This node is stopping: try again.')
}

function requireLoopback(host: string): void {
  if (host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)) return
  throw new MeshError(
    'bad-config',
    `${host} is not a loopback address. Others could use this node: reach it through an SSH tunnel to 127.0.0.1 instead.`,
    { host },
  )
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', (cause: Error & { code?: string }) => {
      const reason = cause.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${cause.code})`
      failed(
        new MeshError(
          'bad-config',
          `Port ${port} on ${host} ${reason}: choose another one with --port.`,
          { host, port, reason: cause.code },
          { cause },
        ),
      )
    })
    server.listen(port, host, () => done())
  })
}

function close(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done())
    server.closeAllConnections()
  })
}
