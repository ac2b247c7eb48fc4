// The base models of this node.
import { z } from 'zod'
import type { KnownBase } from '../base-store.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'

const named = z.strictObject({ name: z.string().min(1).max(4_096) })

export const baseRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/bases',
    summary: 'The bases of this node',
    kind: 'query',
    input: z.strictObject({}),
    async handle(_input, node: Node) {
      return { bases: node.bases.list().map((base) => answer(node, base)) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/bases',
    summary: 'Add a base model file that lies on this machine',
    kind: 'operation',
    input: z.strictObject({ path: z.string().min(1).max(4_096), use: z.boolean().default(false) }),
    async handle({ path, use }, node: Node, { signal, emit }) {
      const base = await node.bases.add(path, {
        signal,
        onProgress: ({ bytesDone, bytesTotal }) =>
          emit({ type: 'progress', label: 'reading', doneBytes: bytesDone, totalBytes: bytesTotal }),
      })
      if (use) await node.bases.use(base.file)
      return { base: answer(node, base) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/bases/use',
    summary: 'Use another base from now on',
    kind: 'query',
    input: named,
    handle: async ({ name }, node: Node) => ({ base: answer(node, await node.bases.use(name)) }),
  }),
  route({
    method: 'POST',
    path: '/v1/bases/remove',
    summary: 'Forget a base; its file stays where it is',
    kind: 'query',
    input: named,
    handle: async ({ name }, node: Node) => ({ removed: answer(node, await node.bases.remove(name)) }),
  }),
]

function answer(node: Node, base: KnownBase): object {
  const { id, tokenizer, label, architecture, file, path, bytes } = base
  return { id, tokenizer, label, architecture, file, path, bytes, inUse: file === node.bases.current()?.file }
}
