import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { openDataFolder } from '../data-folder.ts'
import type { DataFolder } from '../data-folder.ts'
import { route, serveHttp } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { createKeys } from '../keys.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { connectNode } from './connect.ts'
import type { Connection } from './connect.ts'

test('a node that leaves between two calls is followed by the next holder of the folder', async () => {
  await using folder = await aFolder()
  await using holder = await holdWith(folder.path, 'ls')
  await using connection = await connect(folder.path)
  const first = connection.client.url
  expect(first).toBe(holder.url)
  const left = holder.leave()
  expect(await connection.client.call('GET', '/v1/jobs')).toEqual({ jobs: [] })
  await left
  expect(connection.client.url).not.toBe(first)
  expect(holder.begun).toBe(0)
})

test('a call that a daemon had begun when it stopped is not made again', async () => {
  await using folder = await aFolder()
  await using holder = await holdWith(folder.path, 'up')
  await using connection = await connect(folder.path)
  const call = connection.client.call('POST', '/v1/work')
  await holder.working
  const stopped = holder[Symbol.asyncDispose]()
  await expect(call).rejects.toMatchObject({ code: 'stopping' })
  await stopped
  expect(holder.begun).toBe(1)
})

async function aFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await temporaryFolder()
  await using data = await openDataFolder(folder.path, 'init', Date.now)
  await createKeys(data.paths.keys, { clock: Date.now, random: (bytes) => new Uint8Array(randomBytes(bytes)) })
  return folder
}

interface Holder extends AsyncDisposable {
  readonly url: string
  /** Resolves when work was begun. */
  readonly working: Promise<void>
  readonly begun: number
  /** As a command's node does when its command is done. */
  leave(): Promise<void>
}

/** A node that knows its status and endless work. */
async function holdWith(root: string, command: string): Promise<Holder> {
  const data = await openDataFolder(root, command, Date.now)
  const working = Promise.withResolvers<void>()
  let begun = 0
  const routes: Route<object>[] = [
    route({
      method: 'GET',
      path: '/v1/status',
      summary: '',
      kind: 'query',
      input: z.strictObject({}),
      handle: async () => ({}),
    }),
    route({
      method: 'POST',
      path: '/v1/work',
      summary: '',
      kind: 'operation',
      input: z.strictObject({}),
      handle: (_input, _node: object, { signal }) => {
        begun += 1
        working.resolve()
        return new Promise((_done, failed) => signal.addEventListener('abort', () => failed(signal.reason as Error)))
      },
    }),
  ]
  const server = await serve(data, routes)
  await data.lock.announce(server.url)
  const leave = async (): Promise<void> => {
    await server.drain()
    await server[Symbol.asyncDispose]()
    await data[Symbol.asyncDispose]()
  }
  return {
    url: server.url,
    working: working.promise,
    get begun() {
      return begun
    },
    leave,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await data[Symbol.asyncDispose]()
    },
  }
}

function serve({ token }: DataFolder, routes: readonly Route<object>[]) {
  const onBug = (error: unknown): void => {
    throw error
  }
  return serveHttp({ routes, node: {}, token, host: '127.0.0.1', port: 0, clock: Date.now, onBug })
}

function connect(root: string): Promise<Connection> {
  const { signal } = new AbortController()
  return connectNode({ root, command: 'jobs', passphrase: undefined, signal, clock: Date.now, log: () => {} })
}
