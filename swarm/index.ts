// Bytes: finds who has a release, fetches it piece by piece from several peers, checks it at the door, serves it onward; and carries
// exchange streams and DHT pointers for the registry. node/create-node.ts starts it and wires it.
// BitTorrent, its DHT and Hyperswarm run in a child process (network-child/, the only code that imports them), without identity keys.
// It must never hand out a release that has not passed `fetchRelease`'s checks (pieces that fit the infohash go on to other peers as they
// arrive), sign anything, or listen to a peer about what a release is.
export { startSwarm } from './start-swarm.ts'
export type { Swarm, SwarmOptions } from './start-swarm.ts'
export type { FetchedPatch, FetchPatchJob, PatchRef } from './fetch-patch.ts'
export type { FetchTorrentEvent } from './fetch-torrent.ts'
export type { FetchReleaseEvent, FetchReleaseJob, ReleaseRef, VerifiedRelease } from './fetch-release.ts'
export type {
  FetchProgress,
  NetworkAddresses,
  NetworkLimits,
  NetworkStatus,
  NetworkSwitches,
  PeerName,
  PeerTraffic,
} from './network-child/messages.ts'
export type { Address } from './network-child/guarded-dht.ts'
