// Two home networks behind NAT, in network namespaces: hole punching between real processes. Nothing leaves the machine.
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { kit } from '../testing/kit.ts'
import type { NatOrder } from './testing/nat-node.ts'

const natlab = kit.path('natlab/natlab')
const natNode = fileURLToPath(new URL('./testing/nat-node.ts', import.meta.url))
const isRoot = process.getuid?.() === 0
const canBuildNetworks = isRoot && existsSync('/usr/sbin/nft') && existsSync('/usr/sbin/ip')
const bootstrap = { host: '10.99.0.1', port: 49_737 }
const processes: ChildProcess[] = []

if (process.env['CI'] === 'true' && isRoot && !canBuildNetworks) {
  throw new Error('The test with two NATs needs nftables and iproute2: continuous integration installs them.')
}

function onHost(host: string, ...args: string[]): ChildProcess {
  const child = spawn('bash', [natlab, 'in', host, process.execPath, natNode, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  processes.push(child)
  return child
}

/** The first line of JSON that has `key`. */
async function said(child: ChildProcess, key: string): Promise<Record<string, unknown>> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const value = JSON.parse(line) as Record<string, unknown>
    if (key in value) return value
  }
  throw new Error(`a process ended before it said "${key}"`)
}

async function startPublicNetwork(): Promise<void> {
  await said(onHost('p1', 'public', '', '10.99.0.1', '10.99.0.11', '10.99.0.12', '10.99.0.13'), 'ready')
  const others = ['p2', 'p3'].map((host, i) => {
    const addresses = ['', '1', '2', '3'].map((last) => `10.99.0.${i + 2}${last}`)
    return said(onHost(host, 'public', bootstrap.host, ...addresses), 'ready')
  })
  await Promise.all(others)
}

afterEach(async () => {
  if (!canBuildNetworks) return
  const closing = processes.splice(0).map((child) => (child.exitCode === null ? once(child, 'close') : undefined))
  execFileSync('bash', [natlab, 'down'], { stdio: 'ignore' })
  await Promise.all(closing)
})

describe.skipIf(!kit.present || !canBuildNetworks)(
  'two nodes behind two NATs (needs the kit, and root with nftables)',
  () => {
    it.each([
      ['consistent', 'consistent'],
      ['consistent', 'random'],
    ])(
      '%s and %s: find each other and fetch over a punched hole',
      async (kindA, kindB) => {
        const folder = await mkdtemp(join(tmpdir(), 'lora-mesh-nat-'))
        try {
          execFileSync('bash', [natlab, 'up', kindA, kindB], { stdio: 'ignore' })
          await startPublicNetwork()
          const order = (host: string): string =>
            JSON.stringify({ host, bootstrap, folder, bytes: 4 * 1024 * 1024 } satisfies NatOrder)
          await said(onHost('a', 'seed', order('192.168.1.2')), 'ready')
          const done = await said(onHost('b', 'fetch', order('192.168.2.2')), 'done')
          expect(done['kinds']).toEqual(['noise'])
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      },
      150_000,
    )
  },
)
