// What is known and held: releases, personas, plans.
import { z } from 'zod'
import { requestMaxChars } from '../../resolver/index.ts'
import { identityToText, toHex } from '../../protocol/index.ts'
import type { CatalogueEntry } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { personaAnswer } from '../persona-answer.ts'
import { planAnswer, planExplanation, planOnOwnBases } from '../plan-request.ts'

/** Room for a text that is far too long: then the answer is how long it may be. */
export const requestBodyMaxBytes = 1024 * 1024
const text = z.string().min(1).max(requestMaxChars)

export const releaseRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/releases',
    summary: 'Releases this node knows, and its personas',
    kind: 'query',
    input: z.strictObject({ anyPublisher: z.stringbool().default(false) }),
    async handle({ anyPublisher }, node: Node) {
      const entries = node.registry.catalogue({ anyPublisher })
      const byName = entries
        .map((entry) => releaseAnswer(node, entry))
        .toSorted((a, b) => (a.release < b.release ? -1 : 1))
      const personas = await node.personas.list()
      return { releases: byName, personas: personas.map(personaAnswer), pending: node.registry.pending().length }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/plan',
    summary: 'Plan a request without fetching anything',
    kind: 'query',
    maxBodyBytes: requestBodyMaxBytes,
    input: z.strictObject({ text, anyPublisher: z.boolean().default(false) }),
    async handle({ text, anyPublisher }, node: Node, { signal }) {
      const planned = await planOnOwnBases(node, { text, anyPublisher, signal })
      return { plan: planAnswer(planned), explanation: planExplanation(node, planned) }
    },
  }),
]

function releaseAnswer(node: Node, entry: CatalogueEntry) {
  const { releaseId, manifest, publisher, own, member, withdrawn, communities } = entry
  const { name, version, summary, capabilities, base, adapter } = manifest
  const id = toHex(releaseId)
  const identity = identityToText(publisher)
  return {
    release: `${identity}/${name}@${version}`,
    releaseId: id,
    name,
    version,
    publisher: identity,
    summary,
    capabilities: capabilities.map((capability) => capability.name),
    base: { id: toHex(base.id), label: base.label },
    bytes: adapter.bytes,
    sha256: toHex(adapter.sha256),
    held: node.releases.get(id) !== undefined,
    own,
    member,
    communities: communities.map(toHex),
    ...(withdrawn === undefined ? {} : { withdrawn }),
  }
}
