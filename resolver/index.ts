// The resolver owns: request text -> plan. Facets, retrieval, the smallest cover, versions, gaps, the explanation, the lockfile.
// node/ calls it with the cards of its catalogue and an embedder, and acts on the plan; nothing here fetches, stores or posts.
// Pure: no clock, no randomness, no network; the only outside is the embedder port, which may load a model from a folder.
// The same text, cards and embedder give the same plan whatever the order of the cards.
// It must never treat a card's text as anything but data, pull in the embedder's library before it is asked for, or turn a score
// into a percentage: scores are not calibrated.
export { parseCatalogue } from './cards.ts'
export type { Card, CardBase, CardCapability, CardRequirement } from './cards.ts'
export { explainPlan, whyRelease } from './explain.ts'
export { capabilityNameOf, extractFacets, facetsMax, requestMaxChars } from './facets.ts'
export type { Facet, KnownNames } from './facets.ts'
export {
  createLockfile,
  decodeLockfile,
  encodeLockfile,
  lockfileDigest,
  lockfileSchema,
  lockfileText,
  parseLockfile,
  personaIdOf,
} from './lockfile.ts'
export type { LockDetails, LockedRelease, Lockfile, LockInput } from './lockfile.ts'
export { createNgramEmbedder } from './ngram-embedder.ts'
export { defaultMaxStack, planRequest } from './plan.ts'
export type { FacetScores, Gap, Match, OtherBase, Plan, PlanInput, PlannedRelease, PlanOptions } from './plan.ts'
export type { NameWarning } from './name-warnings.ts'
export type { Embedder, EmbedderTrust, EmbedOptions } from './ports.ts'
export { rememberingEmbedder } from './remembering-embedder.ts'
export type { Reference } from './references.ts'
export type { Candidate, GapReason } from './resolve-on-base.ts'
export { adequateFrom, createRetriever } from './retrieve.ts'
export type { Query, Relevance, Retriever, Skill } from './retrieve.ts'
export { groupReleases } from './release-groups.ts'
export type { ReleaseGroups, ReleaseKey, Selection } from './release-groups.ts'
export { createTransformersEmbedder } from './transformers-embedder.ts'
export type { TransformersEmbedderOptions } from './transformers-embedder.ts'
export type { Wanted } from './version-rules.ts'
export { defaultMaxSteps, solveReleases } from './versions.ts'
export type { Solution } from './versions.ts'
export { createBm25 } from './bm25.ts'
export { stemOf, stemsOf } from './stems.ts'
