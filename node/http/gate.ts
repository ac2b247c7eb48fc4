// Who may speak to the port. Any web page the user has open can send requests to it, and so can every other user of the machine: a
// request passes only with the exact host, no foreign origin, and the token that only the data folder's owner can read.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { MeshError } from '../../protocol/index.ts'
import type { TokenBucket } from './token-bucket.ts'

/** Headers whose meaning changes when they are sent twice. */
const singleHeaders = [
  'host',
  'origin',
  'authorization',
  'content-type',
  'content-length',
  'transfer-encoding',
  'sec-fetch-site',
]

export interface GateOptions {
  /** Exact `host:port` values that mean this node. */
  readonly hosts: ReadonlySet<string>
  readonly token: string
  /** What requests with the right token may use. */
  readonly allowed: TokenBucket
  /** What requests with a wrong token may use before they are not even told so. */
  readonly failures: TokenBucket
}

/** Throws the reason why a request may not pass; returns when it may. */
export function passGate(request: IncomingMessage, options: GateOptions): void {
  requireSingleHeaders(request)
  requireHost(request, options.hosts)
  requireSameOrigin(request, options.hosts)
  requireToken(request, options)
  requireJson(request)
}

/** Node keeps the first of two Host or Authorization headers: the second would be seen by nobody, so neither is believed. */
function requireSingleHeaders(request: IncomingMessage): void {
  const names = request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
  const twice = singleHeaders.find((name) => names.indexOf(name) !== names.lastIndexOf(name))
  if (twice !== undefined) throw new MeshError('bad-input', `The header ${twice} was sent twice.`)
  // An absolute target ("GET http://other/ HTTP/1.1") would override the Host header in some servers and not in others.
  if (!request.url?.startsWith('/')) throw new MeshError('wrong-host', 'The request target must be a path.')
}

function requireHost(request: IncomingMessage, hosts: ReadonlySet<string>): void {
  const host = request.headers.host
  if (host === undefined || !hosts.has(host)) {
    throw new MeshError('wrong-host', `This node answers only as ${[...hosts].join(' or ')}.`)
  }
}

function requireSameOrigin(request: IncomingMessage, hosts: ReadonlySet<string>): void {
  const origin = request.headers.origin
  const ours = origin === undefined || (origin.startsWith('http://') && hosts.has(origin.slice('http://'.length)))
  const site = request.headers['sec-fetch-site']
  if (!ours || !(site === undefined || site === 'same-origin' || site === 'none')) {
    throw new MeshError('wrong-origin', 'Web pages of other origins may not use this node.')
  }
}

function requireToken(request: IncomingMessage, { token, allowed, failures }: GateOptions): void {
  const given = /^Bearer ([A-Za-z0-9_-]{1,128})$/.exec(request.headers.authorization ?? '')?.[1]
  if (given !== undefined && sameSecret(given, token)) {
    if (!allowed.take()) throw new MeshError('rate-limited', 'Too many requests: wait a second, then try again.')
    return
  }
  if (!failures.take()) throw new MeshError('rate-limited', 'Too many wrong tokens: wait a minute, then try again.')
  throw new MeshError('unauthorised', 'Send the token from the data folder as "Authorization: Bearer ...".')
}

/** A form or an image in a page can send other types without asking; `application/json` it cannot. */
function requireJson(request: IncomingMessage): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  const type = request.headers['content-type']
  if (type === undefined || !/^application\/json(?:; *charset=utf-8)?$/i.test(type)) {
    throw new MeshError('not-json', 'Send a JSON body with "Content-Type: application/json".')
  }
}

function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
