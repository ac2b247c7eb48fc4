// The communities this node follows. A link names one by its id alone; its genesis arrives later, from whoever has it.
import { communityTopic, openGenesis, toHex } from '../protocol/index.ts'
import type { CommunityRole, OpenedGenesis } from '../protocol/index.ts'
import { blob, integer } from './database.ts'
import type { Database } from './database.ts'
import { CommunityChain } from './governance/community-chain.ts'

export interface Community {
  /** 32 bytes. */
  readonly id: Uint8Array
  /** The scope of its logs: the id in hex. */
  readonly scope: string
  /** Where its followers meet, 32 bytes. */
  readonly topic: Uint8Array
  /** Absent until a peer has handed it over. */
  readonly genesis: OpenedGenesis | undefined
  /** What was decided since; absent as long as the genesis is. */
  readonly chain: CommunityChain | undefined
}

/** A community whose genesis has arrived. */
export interface KnownCommunity extends Community {
  readonly genesis: OpenedGenesis
  readonly chain: CommunityChain
}

export function isKnown(community: Community | undefined): community is KnownCommunity {
  return community?.chain !== undefined
}

export class Communities {
  readonly #database: Database
  readonly #byScope = new Map<string, Community>()
  readonly #scopeByTopic = new Map<string, string>()

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
    return community.chain?.state.members.get(toHex(identity))?.role
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

  /** No more; its genesis and what was decided stay on the disk. */
  unfollow(community: Community): void {
    this.#database.run('UPDATE communities SET followed = 0 WHERE id = ?', community.id)
    this.#byScope.delete(community.scope)
    this.#scopeByTopic.delete(toHex(community.topic))
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
    const chain = genesis && new CommunityChain(this.#database, genesis)
    const community = { id, scope: toHex(id), topic: communityTopic(id), genesis, chain }
    this.#byScope.set(community.scope, community)
    this.#scopeByTopic.set(toHex(community.topic), community.scope)
    return community
  }
}
