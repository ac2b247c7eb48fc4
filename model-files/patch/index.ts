// Patches between versions of one adapter: the few bytes that turn an older file into the newer one, exactly. Two codecs of one family:
// `lora-delta-1` leaves the newer file as it is; `lora-kbit-1` makes the newer file older + differences of k bits, so that everyone
// rebuilds the same bytes. Called by node/ when a release is published and when one is fetched, and by bench/.
// A patch may come from a stranger: nothing is allocated by a size that it only claims, and whatever is wrong with it is a MeshError.
// It must never hand out a file without having compared its SHA-256 with the one that was asked for.
export { applyPatch } from './apply-patch.ts'
export type { ApplyPatchJob } from './apply-patch.ts'
export { chooseDeltaBits } from './choose-delta-bits.ts'
export type { DeltaBitsChoice, DeltaBitsJob, DeltaBitsTrial } from './choose-delta-bits.ts'
export { defineByDelta } from './define-by-delta.ts'
export type { DefineByDeltaJob, DefinedFile } from './define-by-delta.ts'
export { makePatch } from './make-patch.ts'
export type { MadePatch, MakePatchJob } from './make-patch.ts'
export { deltaBitsMax, deltaBitsMin, patchCodecs, readPatchFacts } from './patch-format.ts'
export type { FileFacts, PatchCodec, PatchFacts } from './patch-format.ts'
export type { PatchOptions, PatchProgress } from './patch-chunks.ts'
