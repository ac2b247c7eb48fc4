// What is known and held: releases, personas, plans, publishing.
import { z } from 'zod'
import { explainPlan, lockfileText, requestMaxChars, whyRelease } from '../../resolver/index.ts'
import { identityToText, limits, toHex } from '../../protocol/index.ts'
import type { CatalogueEntry } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import type { Persona } from '../persona-store.ts'
import { planAnswer, planOnOwnBases } from '../plan-request.ts'
import { publishRelease } from '../publish-release.ts'

/** Room for a text that is far too long: then the answer is how long it may be. */
export const requestBodyMaxBytes = 1024 * 1024
const text = z.string().min(1).max(requestMaxChars)
const personaName = z.string().min(1).max(64).optional()

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
      return { plan: planAnswer(planned), explanation: explainPlan(planned.plan) }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/releases',
    summary: 'Publish an adapter that lies on this machine',
    kind: 'operation',
    input: z.strictObject({
      path: z.string().min(1).max(4_096),
      name: z.string().max(limits.nameMaxChars),
      version: z.string().max(limits.versionMaxChars),
      summary: z.string().trim().min(1).max(limits.summaryMaxChars),
      licence: z.string().max(limits.licenceMaxChars),
      capabilities: z
        .array(z.strictObject({ name: z.string(), description: z.string().max(limits.descriptionMaxChars) }))
        .max(limits.capabilitiesMax)
        .default([]),
      tags: z.array(z.string()).max(limits.tagsMax).default([]),
      scale: z.number().min(-16).max(16).default(1),
      scaleRange: z.tuple([z.number().min(-16).max(16), z.number().min(-16).max(16)]).optional(),
      probe: z.array(z.string().min(1).max(10_000)).max(limits.probeSequences).optional(),
      base: z.string().optional(),
    }),
    handle: (input, node: Node, { signal, emit }) =>
      publishRelease(node, input, signal, (step) => emit({ type: 'step', step })),
  }),
  route({
    method: 'GET',
    path: '/v1/lock',
    summary: 'The lockfile of a persona; of the one made last if none is named',
    kind: 'query',
    input: z.strictObject({ persona: personaName }),
    async handle({ persona }, node: Node) {
      const { id, lockfile } = await node.personas.get(persona)
      return { persona: id, lockfile, text: lockfileText(lockfile) }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/why',
    summary: 'Why a release is part of a persona',
    kind: 'query',
    input: z.strictObject({ name: z.string().min(1).max(200), persona: personaName }),
    async handle({ name, persona }, node: Node) {
      const { id, lockfile } = await node.personas.get(persona)
      return { persona: id, name, why: whyRelease(lockfile, name) }
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

function personaAnswer({ id, lockfile }: Persona): object {
  const { base, releases, gaps, mode } = lockfile
  return {
    id,
    base: base.label,
    mode,
    releases: releases.map(({ name, version }) => `${name}@${version}`),
    gaps: gaps.map(({ capability }) => capability),
  }
}
