// The composition root: the only place where the parts of a node meet.
import type { Config } from './config.ts'
import type { DataPaths } from './data-folder.ts'
import type { NodeKeys } from './keys.ts'

export interface NodeOptions {
  readonly paths: DataPaths
  readonly config: Config
  readonly keys: NodeKeys
  readonly clock: () => number
  /** What the node wants to tell its user, a line at a time; allow-listed facts only, no prompts, tokens or keys. */
  readonly log: (line: string) => void
}

export interface Node extends AsyncDisposable {
  readonly options: NodeOptions
}

export async function createNode(options: NodeOptions): Promise<Node> {
  return {
    options,
    async [Symbol.asyncDispose]() {},
  }
}
