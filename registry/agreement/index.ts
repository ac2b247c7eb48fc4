// How the delegates of a community agree on one value although some of them misbehave, and the network loses, repeats and reorders: a
// pure state machine. The driver verifies messages and says whose they are, checks contents, keeps time, stores and sends.
// It must store what it receives, in order, before what it signs because of it: a delegate's lock is worth nothing to the others without
// the prevotes that led to it. After a restart it hands in everything stored, in any order, then the valid values, then `start`.
// It must never do input or output, read a clock, draw a random number or check a signature.
export * from './agreement-types.ts'
export { maxRound, next, startAgreement } from './next.ts'
export { moreThanAThirdOf, proposerOf, quorumOf } from './quorum.ts'
