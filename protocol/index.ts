// What peers must agree on: canonical encoding, ids, keys and signatures, manifests, records, pointers, wire messages, limits, errors.
// Everything here is pure: no I/O, no clock, no randomness. Every other folder may import it; it imports nothing of ours.
// What is signed or hashed here can't change without splitting the mesh: PROTOCOL.md has the bytes, golden files pin them.
// It is also the only place that verifies a signature.
export * from './base-hyperparameters.ts'
export * from './base-id.ts'
export * from './bencode.ts'
export * from './bytes.ts'
export * from './canonical.ts'
export * from './community.ts'
export * from './errors.ts'
export * from './identity.ts'
export * from './limits.ts'
export * from './manifest.ts'
export * from './pointers.ts'
export * from './record.ts'
export * from './record-bodies.ts'
export * from './release-torrent.ts'
export * from './sealed.ts'
export * from './signing.ts'
export * from './topics.ts'
export * from './torrent-info.ts'
export * from './wire.ts'
export { checkAs, decodeAs, encodeObject, plainLines, plainText } from './fields.ts'
