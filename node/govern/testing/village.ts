// For tests: the members of one community, each with a registry and a store of bases of its own, over a mesh in this process.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { defaultRules, signManifest, toHex } from '../../../protocol/index.ts'
import type { Author, CommunityRole, SignedManifest } from '../../../protocol/index.ts'
import { MemoryMesh, openRegistry, systemClock } from '../../../registry/index.ts'
import type { Registry } from '../../../registry/index.ts'
import { aManifest, anAuthor } from '../../../testing/objects.ts'
import { openBaseStore } from '../../base-store.ts'
import type { BaseStore } from '../../base-store.ts'
import { temporaryFolder } from '../../testing/temporary-folder.ts'

export interface Villager {
  readonly author: Author
  readonly registry: Registry
  readonly bases: BaseStore
  /** As far as what is shown depends on them. */
  readonly options: { readonly keys: { readonly author: Author }; readonly clock: () => number }
}

export interface Village extends AsyncDisposable {
  readonly id: Uint8Array
  readonly link: string
  readonly members: readonly Villager[]
  /** Everybody votes yes, and everybody knows the decision afterwards. */
  accept(proposal: Uint8Array): Promise<void>
}

/** The first one founds it; all follow it, and the nodes of admins settle. */
export async function aVillage(...roles: readonly CommunityRole[]): Promise<Village> {
  await using stack = new AsyncDisposableStack()
  const mesh = new MemoryMesh()
  const folder = stack.use(await temporaryFolder())
  const members: Villager[] = []
  for (const [i] of roles.entries()) {
    const author = anAuthor(i + 1)
    const network = stack.use(mesh.node({ id: `villager ${i}` }))
    const random = countedRandom(`villager ${i}`)
    const registry = stack.use(openRegistry({ path: ':memory:', author, clock: systemClock, random, network }))
    await registry.start()
    const bases = await openBaseStore(join(folder.path, `bases ${i}.json`))
    members.push({ author, registry, bases, options: { keys: { author }, clock: () => 0 } })
  }
  const { id, link } = members[0]!.registry.createCommunity({
    name: 'village',
    rules: defaultRules,
    members: members.map(({ author }, i) => ({ identity: author.identity, role: roles[i]! })),
  })
  for (const [i, { registry }] of members.entries()) {
    registry.followCommunity(link)
    registry.governance.allowSettling(id, roles[i] === 'admin')
    await registry.until(() => registry.communities()[0]?.state === 'following', within())
  }
  const held = stack.move()
  return {
    id,
    link,
    members,
    async accept(proposal) {
      const holds = ({ governance }: Registry): boolean =>
        governance.proposals(id).some((one) => toHex(one.id) === toHex(proposal))
      for (const { registry } of members) {
        await registry.until(() => holds(registry), within())
        registry.governance.vote(id, proposal, 'yes')
      }
      for (const { registry } of members) {
        const isAccepted = (): boolean => registry.governance.tally(id, proposal).standing.kind === 'settled'
        await registry.until(isAccepted, within())
      }
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** Announces a release in the public log of a villager. */
export function announce({ author, registry }: Villager, version: string, name = 'biology'): SignedManifest {
  const manifest = aManifest({ name, version, capabilities: [{ name, description: 'cells' }] }, author)
  const release = signManifest(manifest, author)
  registry.publishRelease(release, release.releaseId.slice(0, 20))
  return release
}

/** Long enough for a busy machine, so that a test that waits in vain says where. */
export function within(): AbortSignal {
  return AbortSignal.timeout(20_000)
}

function countedRandom(seed: string): (length: number) => Uint8Array {
  let count = 0
  return (length) => new Uint8Array(createHash('sha512').update(`${seed} ${count++}`).digest().subarray(0, length))
}
