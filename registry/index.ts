// What is known and decided: everybody's logs in SQLite, their exchange with peers, and what they add up to (communities and what they
// decided, catalogue, audit trail, trust, wanted jobs). Peers' records are hostile until verified; each is verified once, before it is stored.
// node/create-node.ts opens it and wires the network; the CLI and the HTTP API read it.
// It must never sign on top of a log that may be longer elsewhere, store what strangers say unasked, let arrival order change a fold, or
// fetch release bytes: an infohash is all it knows of them.
export * from './clock.ts'
export * from './open-registry.ts'
export * from './ports.ts'
export * from './registry-types.ts'
export { MemoryMesh, MemoryNode } from './memory-exchange.ts'
export type { Audit, LogExport } from './audit/audit.ts'
export type { CertificateEntry, RecordEntry, TrailEntry, TrailMark } from './audit/trail-entry.ts'
export { trailType, trailTypes } from './audit/trail-entry.ts'
export type { Trail, TrailFilter } from './audit/trail.ts'
export { verifyLog } from './audit/verify-log.ts'
export type { LogVerdict, WholeLog } from './audit/verify-log.ts'
export type { CatalogueEntry, CatalogueOptions } from './catalogue.ts'
export type { PeerView } from './exchange.ts'
export type { AuthorPart, CommunityState, FoldedRelease, NameConflict } from './fold-community.ts'
export { deadlineOf, openPerAuthor } from './governance/due.ts'
export { channelKey } from './governance/chain-state.ts'
export type { ChainState, Channel, Member, SettledProposal } from './governance/chain-state.ts'
export type { BallotCount, Choice, Measurement } from './governance/count-ballots.ts'
export type { Governance } from './governance/governance.ts'
export type {
  ChannelView,
  MemberView,
  ProposalStanding,
  ProposalView,
  ReceiptView,
  TalliedBallot,
  TallyView,
} from './governance/views.ts'
export type { JobDraft, JobPreview, WantedJob } from './jobs.ts'
export type { LogKey } from './log-key.ts'
export type { PatchEffect } from './record-effects.ts'
export { offlineWarning } from './own-logs.ts'
export type { AppendResult, PendingAction, PendingReason } from './own-logs.ts'
export type { PointerKey, SeenPointer } from './pointers.ts'
export { halfLifeMs, observedMax, Observations } from './reputation/observations.ts'
export type { Observation, Seen, Subject } from './reputation/observations.ts'
export { releaseScore, standings, whyStanding } from './reputation/standings.ts'
export type { Standing, Standings, Verdict } from './reputation/standings.ts'
export type { Endorsement } from './reputation/trust-graph.ts'
export type { Trust } from './reputation/walk-trust.ts'
export type { SeedAnswer } from './seed-questions.ts'
export type { LockfileMeeting } from './shared-lockfiles.ts'
export { unlessAborted } from './unless-aborted.ts'
