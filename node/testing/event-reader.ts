// For tests: reads a node's stream of events as a page would, one after the other.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface ReadEvent {
  readonly id: string | undefined
  readonly type: string
  readonly data: Record<string, unknown>
}

export interface EventReader extends AsyncDisposable {
  readonly seen: readonly ReadEvent[]
  /** The next one that was not asked for yet and fits; those before it are passed over. Rejects when the stream ends first. */
  next(type: string, fits?: (data: Record<string, unknown>) => boolean): Promise<ReadEvent>
}

/** What a data folder's token opens. */
export async function eventsOf(url: string, dataRoot: string, query = ''): Promise<EventReader> {
  const token = (await readFile(join(dataRoot, 'token'), 'utf8')).trim()
  return readEvents(`${url}/v1/events${query}`, token)
}

export async function readEvents(
  address: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<EventReader> {
  const leaving = new AbortController()
  const response = await fetch(address, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers },
    signal: leaving.signal,
  })
  if (response.status !== 200 || response.body === null) throw new Error(`${response.status} ${await response.text()}`)
  // Taken at once: fetch lets go of a body that nobody has begun to read.
  const frames = framesOf(response.body.pipeThrough(new TextDecoderStream()))
  const seen: ReadEvent[] = []
  return {
    seen,
    async next(type, fits = () => true) {
      for (;;) {
        const { done, value } = await frames.next()
        if (done === true) throw new Error(`the stream ended before a ${type}: ${JSON.stringify(seen)}`)
        seen.push(value)
        if (value.type === type && fits(value.data)) return value
      }
    },
    async [Symbol.asyncDispose]() {
      leaving.abort()
      await frames.return(undefined).catch(() => {})
    },
  }
}

async function* framesOf(body: ReadableStream<string>): AsyncGenerator<ReadEvent, undefined> {
  let rest = ''
  for await (const text of body) {
    const frames = (rest + text).split('\n\n')
    rest = frames.pop() ?? ''
    for (const frame of frames) {
      const fields = new Map(
        frame.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      const type = fields.get('event')
      if (type !== undefined) {
        yield { id: fields.get('id'), type, data: JSON.parse(fields.get('data') ?? '') as Record<string, unknown> }
      }
    }
  }
  return undefined
}
