// The past of the communities this node follows, to be read, asked and handed on.
import { isMeshError, MeshError, toHex } from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'
import type { Catalogue } from '../catalogue.ts'
import { isKnown } from '../communities.ts'
import type { Communities, KnownCommunity } from '../communities.ts'
import type { Governance } from '../governance/governance.ts'
import type { KnownLogs } from '../known-logs.ts'
import type { LogStore } from '../log-store.ts'
import type { Clock } from '../ports.ts'
import { exportLines } from './export-log.ts'
import { logsInOrder } from './gather.ts'
import { readTrail } from './trail.ts'
import type { Trail, TrailFilter } from './trail.ts'

export interface AuditParts {
  readonly author: Author
  readonly clock: Pick<Clock, 'now'>
  readonly store: LogStore
  readonly logs: KnownLogs
  readonly communities: Communities
  readonly catalogue: Pick<Catalogue, 'find'>
  readonly governance: Governance
}

export interface LogExport {
  /** Records and certificates together: what progress is measured by. */
  readonly total: number
  /** Lines of text with their line feeds, each made when it is asked for. Throws `storage-failed`. */
  readonly lines: Iterable<string>
}

export class Audit {
  readonly #parts: AuditParts

  constructor(parts: AuditParts) {
    this.#parts = parts
  }

  /** Throws `not-found` while the community isn't known, `storage-failed` for a damaged file. */
  trail(communityId: Uint8Array, filter: TrailFilter): Trail {
    const { store, logs, catalogue, governance } = this.#parts
    const community = this.#known(communityId)
    const proposals = governance.heard(community).proposals
    const known = {
      manifest: (release: Uint8Array) => catalogue.find(release)?.manifest,
      proposal(id: Uint8Array) {
        const said = proposals.get(toHex(id))
        return said && { action: said.statement.body.action, time: said.time }
      },
    }
    return intact(() => readTrail({ store, logs, community, governance, ...known }, filter))
  }

  /** Everything, so that others can check it without this node. Throws `not-found`. */
  export(communityId: Uint8Array): LogExport {
    const { store, author, clock } = this.#parts
    const community = this.#known(communityId)
    const logs = logsInOrder({ store, community })
    const total = logs.reduce((sum, { length }) => sum + length, community.chain.length)
    return { total, lines: exportLines({ community, logs, store }, author, clock.now()) }
  }

  #known(communityId: Uint8Array): KnownCommunity {
    const community = this.#parts.communities.byScope(toHex(communityId))
    if (isKnown(community)) return community
    throw new MeshError(
      'not-found',
      'This community is not known yet: follow it, and wait for a peer that has its genesis.',
    )
  }
}

/** What was checked when it came must still hold when it is read. */
function intact<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!isMeshError(cause) || cause.blame !== 'peer') throw cause
    throw new MeshError('storage-failed', `The registry file is damaged: ${cause.message}`, {}, { cause })
  }
}
