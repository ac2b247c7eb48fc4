// Names that could be taken for another that this node knows: shown to whoever is about to publish under one.
import { lookAlikes } from '../protocol/index.ts'
import type { LookAlike } from '../protocol/index.ts'
import type { Node } from './create-node.ts'

export function namesLike(node: Node, name: string): LookAlike[] {
  const names = new Set<string>()
  for (const { manifest } of node.registry.catalogue({ anyPublisher: true })) {
    names.add(manifest.name)
    for (const capability of manifest.capabilities) names.add(capability.name)
  }
  for (const { id, state } of node.registry.communities()) {
    if (state !== 'following') continue
    for (const { capability } of node.registry.governance.channels(id)) names.add(capability)
  }
  return lookAlikes(name, names)
}
