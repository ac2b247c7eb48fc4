// A route is a row: method, path, what it takes, what it does. Later parts add rows; the server knows nothing of their meaning.
import type { z } from 'zod'

/**
 * Something worth telling while an operation runs, or on a stream of events. `type` is never `result`, `error` or `end`: those end the
 * stream.
 */
export type OperationEvent = { readonly type: string } & Readonly<Record<string, unknown>>

export interface CallContext {
  /** Aborted when the client goes away or the node stops. */
  readonly signal: AbortSignal
  /** Only heard by clients of an `operation` or of `events`. */
  emit(event: OperationEvent): void
  /** Of `events`: the `id` of the last event that this client got before its connection broke. */
  readonly lastEventId?: string | undefined
}

interface RouteShape {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Absolute, with `:name` for parameters; parameters, query and body together are the input. */
  readonly path: string
  /** One line for people who read the list of routes. */
  readonly summary: string
  /**
   * `query` answers one JSON object. `operation` streams newline-delimited events and ends with `result` or `error`. `events` streams
   * server-sent events, each with an `id`, until the client goes, the node stops, or the handler returns.
   */
  readonly kind: 'query' | 'operation' | 'events'
  /** Bodies are at most 64 KB unless a route says otherwise. */
  readonly maxBodyBytes?: number
}

export interface Route<Node> extends RouteShape {
  readonly input: z.ZodType
  handle(input: unknown, node: Node, context: CallContext): Promise<object>
}

/** Ties the handler's input type to its schema; the table that holds the rows needs only `Route`. */
export function route<Node, Schema extends z.ZodType>(
  row: RouteShape & {
    readonly input: Schema
    handle(input: z.infer<Schema>, node: Node, context: CallContext): Promise<object>
  },
): Route<Node> {
  return { ...row, handle: (input, node, context) => row.handle(input as z.infer<Schema>, node, context) }
}
