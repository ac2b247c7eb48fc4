// The audit trail as the API shows it. What was said stands as it was written; what it means in a sentence is for whoever shows it.
import { bytesEqual, identityToText, toHex } from '../../protocol/index.ts'
import { trailType } from '../../registry/index.ts'
import type { CertificateEntry, RecordEntry, Registry, TrailEntry } from '../../registry/index.ts'
import { actionAnswer, namedRelease } from './action-answer.ts'
import { certificateAnswer } from './certificate-answer.ts'
import type { CertificateAnswer } from './certificate-answer.ts'

export interface RecordAnswer {
  readonly kind: 'record'
  readonly id: string
  readonly author: string
  readonly own: boolean
  readonly device: string
  /** Its position in its author's log. */
  readonly index: number
  /** For everybody, or for this community only. */
  readonly scope: 'public' | 'community'
  /** As its author states it. */
  readonly time: string
  /** `ballot`, `proposal` ... */
  readonly type: string
  /** What was said, by type. Absent where this version does not understand it, or it is not valid. */
  readonly said?: object
  readonly mark?:
    | { readonly kind: 'void'; readonly forkedAt: number }
    | { readonly kind: 'left-out'; readonly certificate: string }
}

export interface DecisionAnswer {
  readonly kind: 'certificate'
  readonly id: string
  /** The latest that one of its signers states. */
  readonly time: string
  readonly type: 'certificate'
  /** How many could sign it. */
  readonly delegates: number
  readonly decision: CertificateAnswer
}

export interface TrailSubject {
  readonly registry: Registry
  readonly community: Uint8Array
  /** Whose node answers. */
  readonly self: Uint8Array
}

export function trailAnswers(subject: TrailSubject, entries: readonly TrailEntry[]): (RecordAnswer | DecisionAnswer)[] {
  const names = proposalNames(subject)
  return entries.map((entry) =>
    entry.kind === 'certificate' ? decisionAnswer(subject, entry) : recordAnswer(subject, entry, names),
  )
}

function decisionAnswer({ registry }: TrailSubject, entry: CertificateEntry): DecisionAnswer {
  const { id, time, certificate, delegates } = entry
  const decision = certificateAnswer(registry, certificate)
  return { kind: 'certificate', id: toHex(id), time: timeText(time), type: 'certificate', delegates, decision }
}

type ProposalNames = (id: Uint8Array) => object

/** What proposals ask, by id. */
function proposalNames({ registry, community }: TrailSubject): ProposalNames {
  const views = new Map(registry.governance.proposals(community).map((view) => [toHex(view.id), view.action]))
  return (id) => {
    const action = views.get(toHex(id))
    return { proposal: toHex(id), ...(action === undefined ? {} : { action: actionAnswer(registry, action) }) }
  }
}

function recordAnswer({ registry, self }: TrailSubject, entry: RecordEntry, names: ProposalNames): RecordAnswer {
  const { id, author, device, index, scope, time, mark } = entry
  const said = saidOf(registry, entry, names)
  return {
    kind: 'record',
    id: toHex(id),
    author: identityToText(author),
    own: bytesEqual(author, self),
    device: toHex(device),
    index,
    scope: scope === 'public' ? 'public' : 'community',
    time: timeText(time),
    type: trailType(entry),
    ...(said === undefined ? {} : { said }),
    ...(mark === undefined
      ? {}
      : { mark: mark.kind === 'void' ? mark : { ...mark, certificate: toHex(mark.certificate) } }),
  }
}

function saidOf(registry: Registry, { effect, type }: RecordEntry, names: ProposalNames): object | undefined {
  switch (effect.kind) {
    case 'release':
      return { release: releaseAnswer(effect.release) }
    case 'withdrawal':
      return { release: namedRelease(registry, effect.release), reason: effect.reason }
    case 'patch': {
      const { from, to, bytes } = effect.patch
      return { from: namedRelease(registry, from), to: namedRelease(registry, to), bytes }
    }
    case 'job':
      return { capability: effect.job.capability, description: effect.job.description }
    case 'statement':
      return statementAnswer(registry, effect.statement, names)
    case 'none':
      return type === 'log/1' ? {} : undefined
  }
}

/** Named by itself: of a void record the catalogue knows nothing. */
function releaseAnswer({ releaseId, manifest }: Extract<RecordEntry['effect'], { kind: 'release' }>['release']) {
  const { name, version, publisher, base } = manifest
  return {
    releaseId: toHex(releaseId),
    release: `${name}@${version}`,
    publisher: identityToText(publisher),
    base: base.label,
  }
}

type Statement = Extract<RecordEntry['effect'], { kind: 'statement' }>['statement']

function statementAnswer(registry: Registry, statement: Statement, names: ProposalNames): object {
  switch (statement.type) {
    case 'proposal/1':
      return { action: actionAnswer(registry, statement.body.action) }
    case 'ballot/1':
      return { choice: statement.body.choice, ...names(statement.body.proposal) }
    case 'comment/1':
      return { text: statement.body.text, ...names(statement.body.proposal) }
    case 'suite/1':
      return { suite: toHex(statement.suite), bytes: statement.bytes }
    case 'evaluation/1':
      return evaluationAnswer(registry, statement.body)
    case 'invite/1':
      return { role: statement.body.role }
    case 'join/1':
    case 'leave/1':
      return {}
    case 'round/1':
    case 'prevote/1':
    case 'precommit/1':
      return stepAnswer(statement.body)
  }
}

function evaluationAnswer(registry: Registry, body: Extract<Statement, { type: 'evaluation/1' }>['body']): object {
  const { release, against, suite, value, againstValue, n } = body
  return {
    release: namedRelease(registry, release),
    ...(against === undefined ? {} : { against: namedRelease(registry, against) }),
    suite: toHex(suite),
    value: value / 1e6,
    againstValue: againstValue / 1e6,
    n,
  }
}

function stepAnswer(body: Extract<Statement, { type: 'round/1' | 'prevote/1' | 'precommit/1' }>['body']): object {
  const { round, decision } = body
  return { round, ...(decision === undefined ? {} : { decision: toHex(decision) }) }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
