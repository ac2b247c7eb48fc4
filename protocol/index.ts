// What peers must agree on: canonical encoding, ids, keys and signatures, manifests, records, pointers, wire messages, limits, errors.
// Everything here is pure: no I/O, no clock, no randomness. Every other folder may import it; it imports nothing of ours.
// What is signed or hashed here can't change without splitting the mesh: PROTOCOL.md has the bytes, *.golden.json pins them.
export * from './errors.ts'
