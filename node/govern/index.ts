// Governing communities from outside the registry: what people name by hand becomes ids, what the registry knows becomes JSON, and what
// happens becomes a stream of events.
// Called by node/api/, which adds the routes; other parts of the node tell what happens to them by `happeningsOf(node).tell`.
// It owns no state but the last events. It must never decide anything: what is valid, and what counts, is for registry/ to say.
export { certificateAnswer } from './certificate-answer.ts'
export { communityAnswer, channelAnswers, memberAnswers, suiteAnswers } from './community-answer.ts'
export type { Happening } from './happenings.ts'
export { joinCommunity, leaveCommunity } from './join-community.ts'
export { castBallot, makeProposal } from './make-proposal.ts'
export { oneCommunity, oneProposal, wholeIdentity } from './named-by-hand.ts'
export { proposalAnswers, tallyAnswer } from './proposal-answer.ts'
export { proposalMaxBodyBytes, proposalWishSchema, rulesWishSchema } from './proposal-wish.ts'
export { happeningsOf } from './registry-happenings.ts'
export { rulesWith } from './resolve-action.ts'
export { saidAnswer } from './said-answer.ts'
export { streamHappenings } from './stream-happenings.ts'
export { trailAnswers } from './trail-answer.ts'
