// The rows of the node's HTTP API, one file per group of routes. A row checks its input, calls one operation of the node and shapes the
// answer; it holds no logic of its own. Paths start with /v1.
// Called by the server that start-node.ts starts; heard by the command line and by the page.
// It must never answer with keys, tokens, or absolute paths outside the data folder that the caller did not send.
import type { Route } from '../http/index.ts'
import type { Node } from '../create-node.ts'
import { baseRoutes } from './base-routes.ts'
import { chatRoutes } from './chat-routes.ts'
import { communityRoutes } from './community-routes.ts'
import { eventRoutes } from './event-routes.ts'
import { governanceRoutes } from './governance-routes.ts'
import { jobRoutes } from './job-routes.ts'
import { logRoutes } from './log-routes.ts'
import { networkRoutes } from './network-routes.ts'
import { personaLinkRoutes } from './persona-link-routes.ts'
import { personaRoutes } from './persona-routes.ts'
import { publishRoutes } from './publish-routes.ts'
import { releaseRoutes } from './release-routes.ts'
import { requestRoutes } from './request-routes.ts'
import { statusRoutes } from './status-routes.ts'

export const routes: readonly Route<Node>[] = [
  ...statusRoutes,
  ...baseRoutes,
  ...communityRoutes,
  ...governanceRoutes,
  ...logRoutes,
  ...eventRoutes,
  ...releaseRoutes,
  ...publishRoutes,
  ...chatRoutes,
  ...personaRoutes,
  ...personaLinkRoutes,
  ...jobRoutes,
  ...requestRoutes,
  ...networkRoutes,
]
