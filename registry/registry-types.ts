// What the registry is opened with, what it tells while it runs, and how it describes a community.
import type { Author, CommunityRole, Genesis, MeshError } from '../protocol/index.ts'
import type { LogKey } from './log-key.ts'
import type { Clock, ExchangeNetwork, RandomBytes, ServesTorrent } from './ports.ts'

export interface RegistryOptions {
  /** The SQLite file, or `:memory:`. */
  readonly path: string
  readonly author: Author
  readonly clock: Clock
  readonly random: RandomBytes
  /** Absent: nothing is exchanged; everything else works on what is known. */
  readonly network?: ExchangeNetwork
  readonly servesTorrent?: ServesTorrent
  /**
   * Whether the keys may have signed records before there was a file at `path`: they come from a backup, or the file was lost. Then a log
   * of one's own that isn't there counts as held by others. Default false.
   */
  readonly identityMayBeOlder?: boolean
  /** Signs at once instead of asking a peer first after a restart. */
  readonly offline?: boolean
  /** How long a delegate waits for the others in the first round of an agreement. Default 3 s; grows from round to round. */
  readonly paceMs?: number
  /** Program and version, shown to peers. */
  readonly agent?: string
  /** Refuses to grow beyond this. */
  readonly maxBytes?: number
}

export type RegistryEvent =
  | { readonly kind: 'records'; readonly key: LogKey; readonly count: number }
  | { readonly kind: 'community'; readonly id: Uint8Array }
  /** A community's chain grew: members, rules or channels may be others now. */
  | { readonly kind: 'decided'; readonly community: Uint8Array }
  /** A delegate (identity in hex) signed two statements for one round and step. */
  | { readonly kind: 'delegate-misbehaved'; readonly community: Uint8Array; readonly delegate: string }
  | { readonly kind: 'peers' }
  | { readonly kind: 'pending' }
  /** An author signed two records at one position of a log. */
  | { readonly kind: 'fork'; readonly key: LogKey; readonly index: number; readonly own: boolean }
  /** A peer broke the protocol and was let go. */
  | { readonly kind: 'peer-broke-rules'; readonly peer: string; readonly error: MeshError }
  /** Something did not work on this side: the disk, or a topic that could not be joined (it is tried again). */
  | { readonly kind: 'failed'; readonly error: unknown }

export type CommunityView = {
  readonly id: Uint8Array
  readonly link: string
} & (
  | {
      readonly state: 'waiting-for-genesis'
      readonly message: string
    }
  | {
      readonly state: 'following'
      readonly name: string
      readonly members: readonly { readonly identity: Uint8Array; readonly role: CommunityRole }[]
      /** This node's own role; a follower has none. */
      readonly role: CommunityRole | undefined
      readonly stateHash: Uint8Array
    }
)

export interface NewCommunity {
  readonly name: string
  /** Founding members beside the creator, who is an admin. */
  readonly members?: readonly { readonly identity: Uint8Array; readonly role?: CommunityRole }[]
  readonly rules?: Genesis['rules']
}
