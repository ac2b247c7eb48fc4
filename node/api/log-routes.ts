// The audit trail of a community: who did what, when; and all of it as a file that others can check.
import { z } from 'zod'
import { identityToText } from '../../protocol/index.ts'
import { trailTypes } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import { exportLog } from '../export-log.ts'
import { oneCommunity, trailAnswers } from '../govern/index.ts'
import { route } from '../http/index.ts'
import type { Route } from '../http/index.ts'
import { communityName } from './community-routes.ts'

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
/** Joined by commas. */
const types = z
  .string()
  .max(200)
  .transform((text) => text.split(','))
  .pipe(z.array(z.enum(trailTypes, `must be one of ${trailTypes.join(', ')}`)))

export const logRoutes: readonly Route<Node>[] = [
  route({
    method: 'GET',
    path: '/v1/communities/:community/log',
    summary: 'Who did what in a community, the newest last; times are what authors state',
    kind: 'query',
    input: z.strictObject({
      community: communityName,
      /** The beginning of an identity, or `you`. */
      by: z
        .union([z.literal('you'), z.string().regex(/^[a-z2-7]{4,52}$/, 'must be 4 or more characters of an identity')])
        .optional(),
      type: types.optional(),
      about: z.string().min(1).max(200).optional(),
      since: time.optional(),
      until: time.optional(),
      steps: z.stringbool().default(false),
      limit: z.coerce.number().int().min(1).max(10_000).default(50),
    }),
    async handle({ community, by, type, since, until, ...filter }, { registry, options }: Node) {
      const { id } = oneCommunity(registry, community)
      const self = options.keys.author.identity
      const { entries, older, stepsHidden } = registry.audit.trail(id, {
        ...filter,
        by: by === 'you' ? identityToText(self) : by,
        types: type && new Set(type),
        sinceMs: since,
        untilMs: until,
      })
      return { entries: trailAnswers({ registry, community: id, self }, entries), older, stepsHidden }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/communities/:community/log/export',
    summary: "Write all that is held of a community's log into a file",
    kind: 'operation',
    input: z.strictObject({
      community: communityName,
      file: z.string().min(1).max(4_096),
      force: z.boolean().default(false),
    }),
    async handle({ community, file, force }, { registry }: Node, { signal, emit }) {
      const log = registry.audit.export(oneCommunity(registry, community).id)
      return exportLog(log, {
        file,
        force,
        signal,
        onProgress: ({ lines, bytes }) => emit({ type: 'exported', lines, bytes, total: log.total }),
      })
    },
  }),
]
