// Coming into a community by an invitation, and leaving it: both take effect by a certificate, which may take a while.
import { MeshError, bytesEqual, invitationKey, isMeshError, openInvitationCode, toHex } from '../../protocol/index.ts'
import type { CommunityView, Registry } from '../../registry/index.ts'
import type { Node } from '../create-node.ts'
import type { CallContext } from '../http/index.ts'
import { waitFor } from '../wait-for.ts'
import { communityAnswer, isMember } from './community-answer.ts'

type MovingNode = Pick<Node, 'registry' | 'network'>

export interface Joined {
  readonly state: 'member' | 'waiting'
  readonly community: object
  /** What it waits for, and that it goes on by itself. */
  readonly message?: string
}

/**
 * Waits for the certificate; emits notes on what it waits for. What was asked for stays asked when the waiting ends. Throws `malformed`
 * for what is no invitation, `bad-input` for one that was used.
 */
export async function joinCommunity(
  node: MovingNode,
  { code, waitMs }: { readonly code: string; readonly waitMs: number },
  context: CallContext,
): Promise<Joined> {
  const { registry } = node
  const { community, seed } = openInvitationCode(code)
  const key = toHex(invitationKey(seed))
  registry.joinCommunity(code)
  await node.network.start()
  const standing = await lastStanding(registry, () => standingOf(registry, community, key), waitMs, context)
  if (standing.kind === 'left') throw new MeshError('aborted', 'The community was left while this node waited.')
  if (standing.kind === 'used') {
    throw new MeshError('bad-input', `This invitation to ${standing.name} was used: each lets one person in, once.`)
  }
  const answer = communityAnswer(registry, standing.view)
  const text = waitingText(standing)
  if (text === undefined) return { state: 'member', community: answer }
  const message = `${text} The wish stays: it takes effect while this node runs (lora-mesh up).`
  return { state: 'waiting', community: answer, message }
}

/** The first one in which nothing is waited for, or the one when patience ends. */
async function lastStanding(
  registry: Registry,
  look: () => JoinStanding,
  waitMs: number,
  { signal, emit }: CallContext,
): Promise<JoinStanding> {
  let standing = look()
  let told: string | undefined
  const isOver = (): boolean => {
    standing = look()
    const text = waitingText(standing)
    if (text !== told && text !== undefined) emit({ type: 'note', text })
    told = text
    return text === undefined
  }
  await waitFor((wake) => registry.onEvent(wake), isOver, waitMs, signal)
  return standing
}

type JoinStanding =
  | { readonly kind: 'unknown' | 'asked' | 'member'; readonly view: CommunityView }
  | { readonly kind: 'used'; readonly name: string }
  /** Somebody else let this node leave meanwhile. */
  | { readonly kind: 'left' }

/** `key`: the invitation's, in hex. */
function standingOf(registry: Registry, community: Uint8Array, key: string): JoinStanding {
  const view = registry.communities().find(({ id }) => bytesEqual(id, community))
  if (view === undefined) return { kind: 'left' }
  if (view.state !== 'following') return { kind: 'unknown', view }
  if (view.role !== undefined) return { kind: 'member', view }
  if (registry.governance.chain(community).usedInvitations.has(key)) return { kind: 'used', name: view.name }
  return { kind: 'asked', view }
}

/** What is waited for; undefined where nothing is. */
function waitingText(standing: JoinStanding): string | undefined {
  if (standing.kind === 'unknown') return 'Waiting for a peer that knows this community.'
  if (standing.kind !== 'asked' || standing.view.state !== 'following') return undefined
  return `Asked ${standing.view.name} to be let in. ${whoSigns(standing.view)}`
}

function whoSigns({ members }: Extract<CommunityView, { readonly state: 'following' }>): string {
  const admins = members.filter(({ role }) => role === 'admin').length
  if (admins === 1) return "Its admin's node has to be online and sign."
  return `${Math.floor((2 * admins) / 3) + 1} of its ${admins} admins' nodes have to be online and sign.`
}

export interface Left {
  /** `asked`: still a member, and followed. `unfollowed`: no longer followed, and still its last admin. */
  readonly state: 'left' | 'asked' | 'unfollowed'
  readonly message?: string
}

/** A member says so and is followed on until the certificate is there, or until `unfollow`. Throws `bad-input` for the last admin. */
export async function leaveCommunity(
  node: MovingNode,
  community: CommunityView,
  { unfollow, waitMs }: { readonly unfollow: boolean; readonly waitMs: number },
  { signal, emit }: CallContext,
): Promise<Left> {
  const { registry } = node
  const { id } = community
  let left: Left = { state: 'left' }
  if (isMember(registry, id)) {
    left = sayLeave(registry, community, unfollow)
    if (!unfollow && !(await leaveSettled(node, community, waitMs, { signal, emit }))) {
      return {
        state: 'asked',
        message: 'Asked to leave; an admin has to sign. Follow it until then, or leave now with --unfollow.',
      }
    }
  }
  await registry.unfollowCommunity(id)
  return left
}

/** What is to be told of it. Whoever must go at once goes even as the last admin. */
function sayLeave(registry: Registry, { id, link }: CommunityView, unfollow: boolean): Left {
  try {
    registry.governance.leave(id)
  } catch (error) {
    if (!unfollow || !isMeshError(error, 'bad-input')) throw error
    const message = `You are still its last admin. Come back with: lora-mesh community follow ${link}`
    return { state: 'unfollowed', message }
  }
  if (!unfollow) return { state: 'left' }
  return { state: 'left', message: 'You stay a member where nobody heard of it before this node stopped following.' }
}

async function leaveSettled(
  { registry, network }: MovingNode,
  community: CommunityView,
  waitMs: number,
  { signal, emit }: CallContext,
): Promise<boolean> {
  await network.start()
  const gone = (): boolean => !isMember(registry, community.id)
  if (community.state === 'following' && !gone()) {
    emit({ type: 'note', text: `Asked ${community.name} to be let go. ${whoSigns(community)}` })
  }
  return waitFor((wake) => registry.onEvent(wake), gone, waitMs, signal)
}
