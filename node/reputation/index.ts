// Reputation in a running node: keeps what was seen of others in reputation.json, reads what members measured from the registry, and says
// whom to ask first, how far a release is trusted, and why. The reckoning itself is in registry/reputation/ and does no I/O.
// node/create-node.ts opens it; the fetcher reports to it and takes seeders in its order; the API and `peers --explain` show it.
// It must never send any of it to a peer, write down what was asked for or at what hour, or be an input to a community's decision.
export { openReputation } from './reputation.ts'
export type { Reputation } from './reputation.ts'
export type { TransferWatch } from './watch-transfer.ts'
export { reputationAnswer } from './reputation-answer.ts'
