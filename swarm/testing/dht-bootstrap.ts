// A DHT of one's own for a mesh on one machine: prints where it listens as one line of JSON, ends when its standard input does.
import { startDhtBootstrap, startHyperdhtBootstrap } from '../network-child/bootstrap.ts'
import type { Address } from '../network-child/guarded-dht.ts'

const host = process.argv[2] ?? '127.0.0.1'
const text = ({ host: name, port }: Address): string => `${name}:${port}`

await using dht = await startDhtBootstrap(host, 0)
await using hyperdht = await startHyperdhtBootstrap(host, 0)
process.stdout.write(`${JSON.stringify({ dht: text(dht.address), hyperdht: text(hyperdht.address) })}\n`)
for await (const _ of process.stdin);
