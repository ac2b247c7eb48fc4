// Every bound on what a peer may make us read, keep or do. One place, so that PROTOCOL.md can list them and a test can pin them.
const KiB = 1024
const MiB = 1024 * KiB

export const limits = Object.freeze({
  // Canonical encoding
  canonicalMaxDepth: 16,
  canonicalMaxItems: 65_536,
  // Signed objects
  certificateMaxBytes: 512,
  manifestMaxBytes: 32 * KiB,
  genesisMaxBytes: 64 * KiB,
  sealedMaxBytes: 65 * KiB,
  envelopeMaxBytes: 512,
  // Two of them, as proof of a fork, fit a frame.
  recordBodyMaxBytes: 116 * KiB,
  lockfileMaxBytes: 256 * KiB,
  // In canonical bytes: with what is around it, it fits a frame.
  sharedLockfileMaxBytes: 240 * KiB,
  // Text
  nameMaxChars: 64,
  versionMaxChars: 64,
  summaryMaxChars: 500,
  descriptionMaxChars: 500,
  systemPromptMaxChars: 2_000,
  labelMaxChars: 128,
  tagMaxChars: 32,
  licenceMaxChars: 64,
  reasonMaxChars: 500,
  // Lists
  capabilitiesMax: 16,
  tagsMax: 16,
  requiresMax: 16,
  evaluationsMax: 32,
  evaluatedOnMax: 8,
  parentsMax: 32,
  targetsMax: 32,
  signersPerLinkMax: 64,
  // So many that a decision with everybody's ballot, and everybody's signature under it, fits a frame.
  membersMax: 256,
  probeSequences: 8,
  probeTokensMax: 256,
  // Model files
  adapterMaxBytes: 4 * 1024 * MiB,
  rankMax: 512,
  scaleMaxMillionths: 16_000_000,
  // Pointers (BEP 44 bounds the bencoded value at 1000 bytes, so a byte string at 996)
  pointerMaxBytes: 996,
  pointerSaltMaxBytes: 64,
  pointerLifetimeMs: 30 * 24 * 3_600_000,
  // Wire
  frameMaxBytes: 256 * KiB,
  topicsPerPeerMax: 64,
  headsPerMessageMax: 1_024,
  recordsPerMessageMax: 256,
  infohashesPerMessageMax: 64,
  agentMaxChars: 64,
  // Logs
  logMaxRecords: 1_000_000,
  followerLogMaxRecords: 16,
  followerLogMaxBytes: 32 * KiB,
  followersPerCommunityMax: 256,
  // Governance
  suiteMaxBytes: 112 * KiB,
  decisionMaxBytes: 112 * KiB,
  communityCertificateMaxBytes: 240 * KiB,
  certificatesMax: 1_000_000,
  certificatesPerMessageMax: 64,
  receiptsPerDecisionMax: 64,
  roundMax: 1_000_000,
})

/** The end of the year 9999: later dates are nonsense and refused. */
export const maxTimeMs = 253_402_300_799_999
