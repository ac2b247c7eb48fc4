// Backups put back, two hundred times: whatever was lost and whoever is there, nobody's log is forked.
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytesEqual } from '../protocol/index.ts'
import { MemoryMesh } from './memory-exchange.ts'
import { upgradeTo } from './governance/testing/paper-village.ts'
import { quiet, Village } from './governance/testing/village.ts'
import { aRelease, anAuthor, infohashOf } from './testing/builders.ts'

/** Two hundred; the logs of one series grow from drill to drill. */
const series = 20
const drillsPerSeries = 10
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-mesh-drills-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const path = (name: string): string => join(folder, name)

/** A database as it is in the middle of everything: the file and what was not yet moved into it. */
function copyDatabase(from: string, to: string): void {
  for (const part of ['', '-wal', '-shm']) {
    rmSync(path(to + part), { force: true })
    if (existsSync(path(from + part))) copyFileSync(path(from + part), path(to + part))
  }
}

interface Drill {
  /** Things done after the backup, which peers saw. */
  readonly lost: number
  /** Things done after the backup was put back, with nobody there. */
  readonly alone: number
  /** Whether what was done alone begins with what was done before. */
  readonly again: boolean
  /** Whether the machine was switched off in the middle, so that its peers hold more than its own file says it showed. */
  readonly killed: boolean
}

/** Every combination, over and over. */
function drill(n: number): Drill {
  return { lost: n % 4, alone: Math.floor(n / 4) % 3, again: n % 2 === 0, killed: Math.floor(n / 12) % 2 === 0 }
}

test.each(Array.from({ length: series }, (_, i) => i))(
  `${drillsPerSeries} restored backups, series %i: no fork, nothing said twice, what was done alone is signed when peers are back`,
  async (nth) => {
    let waited = 0
    await using village = await Village.found(
      new MemoryMesh(),
      { bob: 'admin', alice: 'admin', carol: 'user' },
      { paths: { alice: path(`alice ${nth}`) } },
    )
    const alice = anAuthor('alice')
    const wanted = new Set<string>()
    const publish = (version: string): string => {
      const release = aRelease(alice, { version })
      wanted.add(version)
      return village.registry('alice').publishRelease(release, infohashOf(release)).kind
    }
    const ballot = (on = 'alice'): string | undefined => {
      const { ballots } = village.registry(on).governance.tally(village.id, proposal)
      return ballots.find(({ voter }) => bytesEqual(voter, alice.identity))?.choice
    }
    /** Changes her mind. */
    const vote = (): string => {
      const choice = ballot() === 'yes' ? 'no' : 'yes'
      meant = choice
      return village.registry('alice').governance.vote(village.id, proposal, choice).kind
    }
    let meant = ''
    const proposal = await village.propose('bob', upgradeTo('one'))
    // A copy from before anybody saw anything of a log can't be told from a log that nobody ever saw: that is where drills begin.
    expect([publish('1.0.0'), vote()]).toEqual(['appended', 'appended'])
    await quiet()

    for (let n = nth * drillsPerSeries; n < (nth + 1) * drillsPerSeries; n++) {
      const { lost, alone, again, killed } = drill(n)
      copyDatabase(`alice ${nth}`, 'backup')
      for (let i = 0; i < lost; i++) expect(publish(`1.${n}.${i}`)).toBe('appended')
      for (let i = 1; i < lost; i++) expect(vote()).toBe('appended')
      await quiet()
      if (killed) village.mesh.vanish(village.node('alice').network)
      await village.stop('alice')
      copyDatabase('backup', `alice ${nth}`)

      // Nobody is there.
      await village.open('alice', { mesh: new MemoryMesh() })
      for (let i = 0; i < alone; i++) {
        const kind = publish(again ? `1.${n}.${i}` : `2.${n}.${i}`)
        expect(kind).toBe('pending')
        waited++
      }
      if (alone > 0) expect(vote()).toBe('pending')
      await village.stop('alice')

      const registry = await village.open('alice')
      await quiet()
      expect(registry.pending()).toEqual([])
      expect(registry.publicLogLength()).toBe(1 + wanted.size)
      expect([n, ballot(), ballot('bob')]).toEqual([n, meant, meant])
    }

    const versions = village
      .registry('carol')
      .catalogue({ anyPublisher: true })
      .map(({ manifest }) => manifest.version)
    expect(versions.toSorted()).toEqual([...wanted].toSorted())
    for (const name of village.names) {
      expect(
        village
          .registry(name)
          .state(village.id)
          .parts.flatMap(({ forks }) => forks),
      ).toEqual([])
      expect(village.stateHash(name)).toBe(village.stateHash('bob'))
    }
    expect(waited).toBeGreaterThan(5)
    expect(village.events.filter(({ event }) => event.kind === 'fork' || event.kind === 'failed')).toEqual([])
  },
)
