// Names that could be taken for another that this node knows: shown to whoever is about to publish under one.
import { lookAlikes } from '../protocol/index.ts'
import type { LookAlike } from '../protocol/index.ts'
import type { Node } from './create-node.ts'

export function namesLike(node: Node, name: string): LookAlike[] {
  return lookAlikes(name, new Set(node.registry.catalogue({ anyPublisher: true }).map(({ manifest }) => manifest.name)))
}
