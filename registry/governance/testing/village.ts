// A village of real registries in one process, in a time that a test turns by hand. Nothing in it waits for a disk or a socket, so after one
// turn of the event loop everything that can happen has happened: `quiet` is exact, and the same seed gives the same course.
import { defaultRules, isMeshError, toHex } from '../../../protocol/index.ts'
import type { CommunityRole, CommunityRules, ProposedAction, VerifiedRecord } from '../../../protocol/index.ts'
import { ManualClock } from '../../clock.ts'
import type { Said } from '../../fold-community.ts'
import type { MemoryMesh } from '../../memory-exchange.ts'
import type { AppendResult } from '../../own-logs.ts'
import type { Registry } from '../../open-registry.ts'
import type { RegistryEvent } from '../../registry-types.ts'
import { aNode, anAuthor, identityOf } from '../../testing/builders.ts'
import type { TestNode, TestNodeOptions } from '../../testing/builders.ts'

export const hourMs = 3_600_000

export type Roles = Readonly<Record<string, CommunityRole>>

export interface VillageOptions {
  readonly rules?: Partial<CommunityRules>
  /** Files of those who are to be restarted, by name. */
  readonly paths?: Readonly<Record<string, string>>
}

/** Lets everything happen that needs no time. */
export async function quiet(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

export class Village implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly mesh: MemoryMesh
  readonly events: { readonly on: string; readonly event: RegistryEvent }[] = []
  readonly #nodes = new Map<string, TestNode>()
  readonly #paths: Readonly<Record<string, string>>
  #id: Uint8Array | undefined
  #link = ''

  /** All of them follow the community, and its admins let their nodes settle. */
  static async found(mesh: MemoryMesh, roles: Roles, options: VillageOptions = {}): Promise<Village> {
    const village = new Village(mesh, options.paths ?? {})
    const [founder] = Object.keys(roles)
    if (founder === undefined) throw new Error('a village without people')
    for (const name of Object.keys(roles)) await village.open(name)
    const view = village.registry(founder).createCommunity({
      name: 'village',
      rules: { ...defaultRules, votingPeriodMs: 24 * hourMs, ...options.rules },
      members: Object.entries(roles).map(([name, role]) => ({ identity: identityOf(name), role })),
    })
    village.#id = view.id
    village.#link = view.link
    for (const name of Object.keys(roles)) await village.follow(name, roles[name] === 'admin')
    return village
  }

  constructor(mesh: MemoryMesh, paths: Readonly<Record<string, string>>) {
    this.mesh = mesh
    this.#paths = paths
  }

  get id(): Uint8Array {
    if (this.#id === undefined) throw new Error('not founded yet')
    return this.#id
  }

  get link(): string {
    return this.#link
  }

  /** Those whose node runs. */
  get names(): string[] {
    return [...this.#nodes.keys()]
  }

  node(name: string): TestNode {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`${name}'s node does not run`)
    return node
  }

  registry(name: string): Registry {
    return this.node(name).registry
  }

  /** Starts a node, or starts it again. */
  async open(name: string, options: TestNodeOptions & { readonly mesh?: MemoryMesh } = {}): Promise<Registry> {
    const { mesh = this.mesh, ...rest } = options
    const path = this.#paths[name]
    const stored = path === undefined ? {} : { path }
    const node = await aNode(mesh, name, { author: anAuthor(name), clock: this.clock, ...stored, ...rest })
    this.#nodes.set(name, node)
    node.registry.onEvent((event) => this.events.push({ on: name, event }))
    await quiet()
    return node.registry
  }

  async follow(name: string, settles: boolean): Promise<void> {
    const registry = this.registry(name)
    registry.followCommunity(this.#link)
    await quiet()
    if (settles) registry.governance.allowSettling(this.id, true)
    await quiet()
  }

  /** Stops a node, as when its machine is switched off. */
  async stop(name: string): Promise<void> {
    const node = this.node(name)
    this.#nodes.delete(name)
    await node[Symbol.asyncDispose]()
    await quiet()
  }

  /** Keeps the given ones apart from the others, until `heal`. */
  async part(some: readonly string[]): Promise<void> {
    for (const one of some) {
      for (const other of this.names) {
        if (!some.includes(other)) this.mesh.cut(this.node(one).network, this.node(other).network)
      }
    }
    await quiet()
  }

  async heal(): Promise<void> {
    this.mesh.heal()
    await quiet()
  }

  /** Lets time pass. What falls due has had its effect everywhere before the next does: messages take no time. */
  async pass(ms: number): Promise<void> {
    await quiet()
    const until = this.clock.now() + ms
    for (let at = this.clock.nextAt; at !== undefined && at <= until; at = this.clock.nextAt) {
      this.clock.advance(Math.max(0, at - this.clock.now()))
      await quiet()
    }
    this.clock.advance(until - this.clock.now())
    await quiet()
  }

  async propose(name: string, action: ProposedAction): Promise<Uint8Array> {
    const said = signed(this.registry(name).governance.propose(this.id, action))
    await quiet()
    return said.id
  }

  /** Proposes unless it can't be proposed now. */
  async tryToPropose(name: string, action: ProposedAction): Promise<void> {
    try {
      await this.propose(name, action)
    } catch (error) {
      if (!isMeshError(error, 'bad-input')) throw error
    }
  }

  /** Those on which a member may vote, as far as its node knows. */
  openProposals(name: string): Uint8Array[] {
    const proposals = this.registry(name).governance.proposals(this.id)
    return proposals.filter(({ standing }) => standing.kind === 'open').map(({ id }) => id)
  }

  async vote(proposal: Uint8Array, choice: 'yes' | 'no' | 'abstain', ...names: readonly string[]): Promise<void> {
    for (const name of names) this.registry(name).governance.vote(this.id, proposal, choice)
    await quiet()
  }

  /** In hex: what a node's chain ends in. */
  head(name: string): string {
    return toHex(this.registry(name).governance.chain(this.id).head)
  }

  stateHash(name: string): string {
    return toHex(this.registry(name).state(this.id).stateHash)
  }

  /** Certificates of a node, in hex. */
  decided(name: string): string[] {
    return this.registry(name)
      .governance.certificates(this.id)
      .map(({ id }) => toHex(id))
  }

  /** What a member said on the government, as a node knows it. */
  statements(on: string, member: string): readonly Said[] {
    const { parts } = this.registry(on).state(this.id)
    return parts.find(({ author }) => toHex(author) === toHex(identityOf(member)))?.statements ?? []
  }

  /** Who settled a proposal how, on a node. */
  standing(name: string, proposal: Uint8Array) {
    return this.registry(name).governance.tally(this.id, proposal).standing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.names) await this.stop(name)
  }
}

export function signed(said: AppendResult): VerifiedRecord {
  if (said.kind !== 'appended') throw new Error(said.message)
  return said.record
}
