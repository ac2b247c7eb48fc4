// The communities this node follows. A link names one by its id alone; its genesis arrives later, from whoever has it.
import { communityTopic, openGenesis, toHex } from '../protocol/index.ts'
import type { CommunityRole, OpenedGenesis } from '../protocol/index.ts'
import { blob, integer } from './database.ts'
import type { Database } from './database.ts'

export interface Community {
  /** 32 bytes. */
  readonly id: Uint8Array
  /** The scope of its logs: the id in hex. */
  readonly scope: string
  /** Where its followers meet, 32 bytes. */
  readonly topic: Uint8Array
  /** Absent until a peer has handed it over. */
  readonly genesis: OpenedGenesis | undefined
}

export class Communities {
  readonly #database: Database
  readonly #byScope = new Map<string, Community>()
  readonly #scopeByTopic = new Map<string, string>()
  readonly #roles = new Map<string, Map<string, CommunityRole>>()

  constructor(database: Database) {
    this.#database = database
    for (const row of database.all('SELECT id, genesis, followed FROM communities ORDER BY rowid')) {
      if (integer(row, 'followed') === 0) continue
      const genesis = row['genesis'] === null ? undefined : openGenesis(blob(row, 'genesis'))
      this.#remember(blob(row, 'id'), genesis)
    }
  }

  all(): Community[] {
    return [...this.#byScope.values()]
  }

  byScope(scope: string): Community | undefined {
    return this.#byScope.get(scope)
  }

  byTopic(topicHex: string): Community | undefined {
    const scope = this.#scopeByTopic.get(topicHex)
    return scope === undefined ? undefined : this.#byScope.get(scope)
  }

  roleOf(community: Community, identity: Uint8Array): CommunityRole | undefined {
    return this.#roles.get(community.scope)?.get(toHex(identity))
  }

  /** Following twice is fine. */
  follow(id: Uint8Array): Community {
    const known = this.#byScope.get(toHex(id))
    if (known !== undefined) return known
    this.#database.run(
      'INSERT INTO communities (id, followed) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET followed = 1',
      id,
    )
    const row = this.#database.get('SELECT genesis FROM communities WHERE id = ?', id)
    const genesis = row === undefined || row['genesis'] === null ? undefined : openGenesis(blob(row, 'genesis'))
    return this.#remember(id, genesis)
  }

  /** Keeps a genesis whose id was compared with the followed community's. */
  learnGenesis(genesis: OpenedGenesis): Community {
    this.#database.run(
      'INSERT INTO communities (id, genesis, followed) VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET genesis = excluded.genesis',
      genesis.id,
      genesis.sealed,
    )
    return this.#remember(genesis.id, genesis)
  }

  #remember(id: Uint8Array, genesis: OpenedGenesis | undefined): Community {
    const community = { id, scope: toHex(id), topic: communityTopic(id), genesis }
    this.#byScope.set(community.scope, community)
    this.#scopeByTopic.set(toHex(community.topic), community.scope)
    this.#roles.set(
      community.scope,
      new Map(genesis?.genesis.members.map(({ identity, role }) => [toHex(identity), role])),
    )
    return community
  }
}
