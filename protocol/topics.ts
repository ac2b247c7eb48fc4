// Where nodes that care about the same thing meet: 32-byte Hyperswarm topics. A topic tells an outsider nothing but itself.
import { encodeObject } from './fields.ts'
import { taggedId } from './signing.ts'

export function communityTopic(communityId: Uint8Array): Uint8Array {
  return taggedId('topic-community', communityId)
}

export function capabilityTopic(name: string, baseId: Uint8Array): Uint8Array {
  return taggedId('topic-capability', encodeObject([name, baseId]))
}
