// The part of the golden bytes that a community's government is made of: one record of each kind, one decision, its certificate.
import {
  encloseRecord,
  encodeDecision,
  invitationCode,
  invitationKey,
  sealCertificate,
  sha256,
  signJoin,
  subjectId,
  toHex,
} from '../protocol/index.ts'
import type { OpenedCertificate, OpenedGenesis, VerifiedRecord, WireMessage } from '../protocol/index.ts'
import { aHash, aLog, anAuthor } from './objects.ts'

const seed = new Uint8Array(16).fill(6)
const questions = new TextEncoder().encode('{"prompt": "Q: Where?", "answer": "There."}\n')

export interface GoldenGovernance {
  readonly records: readonly VerifiedRecord[]
  readonly certificate: OpenedCertificate
  readonly messages: readonly WireMessage[]
  readonly code: string
}

/** `genesis`: of a community whose only admin is `anAuthor(1)`. */
export function goldenGovernance(genesis: OpenedGenesis, topic: Uint8Array): GoldenGovernance {
  const admin = anAuthor(1)
  const scope = toHex(genesis.id)
  const action = {
    kind: 'upgrade' as const,
    capability: 'biology',
    base: aHash(11),
    release: aHash(41),
    current: aHash(42),
  }
  const replaces = new Uint8Array(32)
  const talk = aLog([{ type: 'proposal/1', body: { action, membership: genesis.id, replaces } }], scope, admin)
  const proposal = talk[1]!
  const said = aLog(
    [
      { type: 'proposal/1', body: { action, membership: genesis.id, replaces } },
      { type: 'ballot/1', body: { proposal: proposal.id, choice: 'yes' } },
      { type: 'comment/1', body: { proposal: proposal.id, text: 'it knows more plants' } },
      { type: 'suite/1', body: { suite: questions } },
      {
        type: 'evaluation/1',
        body: {
          release: aHash(41),
          against: aHash(42),
          suite: sha256(questions),
          file: aHash(13),
          metric: 'exact-match',
          value: 920_000,
          againstValue: 880_000,
          n: 100,
          valueError: 27_129,
          standardError: 24_166,
        },
      },
      { type: 'invite/1', body: { key: invitationKey(seed), role: 'user' } },
    ],
    scope,
    admin,
  )
  const decision = encodeDecision({
    format: 1,
    community: genesis.id,
    previous: genesis.id,
    position: 0,
    subject: subjectId({ kind: 'channel', capability: 'biology', base: aHash(11) }),
    replaces,
    membership: genesis.id,
    electorate: 'admins',
    settled: {
      kind: 'proposal',
      proposal: encloseRecord(proposal, admin.certificate),
      ballots: [encloseRecord(said[2]!, admin.certificate)],
      receipts: [],
      outcome: 'accepted',
    },
  })
  const step = { previous: genesis.id, electorate: 'admins' as const, round: 0 }
  const steps = aLog(
    [
      { type: 'round/1', body: { ...step, decision: decision.bytes } },
      { type: 'prevote/1', body: { ...step, decision: decision.id } },
      { type: 'precommit/1', body: { ...step, decision: decision.id } },
    ],
    scope,
    admin,
  )
  const newcomer = anAuthor(3)
  const coming = aLog(
    [
      { type: 'join/1', body: signJoin(genesis.id, newcomer.identity, seed) },
      { type: 'leave/1', body: { since: genesis.id } },
    ],
    scope,
    newcomer,
  )
  const certificate = sealCertificate(decision, [encloseRecord(steps[3]!, admin.certificate)])
  return {
    records: [...said.slice(1), ...coming.slice(1), ...steps.slice(1)],
    certificate,
    messages: [
      { type: 'chain/1', topic, length: 1, head: certificate.id },
      { type: 'want-certificates/1', topic, from: 0 },
      { type: 'certificates/1', topic, from: 0, certificates: [certificate.sealed] },
    ],
    code: invitationCode(genesis.id, seed),
  }
}
