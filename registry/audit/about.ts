// What an entry of the trail is about, so that one can ask for all there is on a release, a capability or a proposal.
import { bodyOf, identityToText, openEnclosed, toHex } from '../../protocol/index.ts'
import type { Decision, Manifest, ProposedAction } from '../../protocol/index.ts'
import type { Statement } from '../record-effects.ts'
import type { RecordEntry, TrailEntry } from './trail-entry.ts'

/** What ids stand for, as far as it is known here. */
export interface Known {
  manifest(release: Uint8Array): Manifest | undefined
  proposal(id: Uint8Array): { readonly action: ProposedAction; readonly time: number } | undefined
}

/** Shorter beginnings of an id could be names. */
const idDigits = /^[0-9a-f]{4,64}$/

/** `wanted`: NAME, NAME@VERSION, PUBLISHER/NAME@VERSION, or the first digits of an id. */
export function isAbout(entry: TrailEntry, wanted: string, known: Known): boolean {
  const digits = idDigits.test(wanted)
  for (const topic of topicsOf(entry, known)) {
    if (typeof topic === 'string' ? topic === wanted : digits && toHex(topic).startsWith(wanted)) return true
  }
  return false
}

/** Names as text, ids as bytes. */
type Topics = Iterable<string | Uint8Array>

function* topicsOf(entry: TrailEntry, known: Known): Topics {
  yield entry.id
  if (entry.kind === 'certificate') yield* ofDecision(entry.certificate.decision, known)
  else yield* ofRecord(entry, known)
}

function* ofRecord({ effect }: RecordEntry, known: Known): Topics {
  switch (effect.kind) {
    case 'release':
      yield* ofManifest(effect.release.manifest)
      yield effect.release.releaseId
      return
    case 'withdrawal':
      yield* ofRelease(effect.release, known)
      return
    case 'patch':
      yield* ofRelease(effect.patch.from, known)
      yield* ofRelease(effect.patch.to, known)
      return
    case 'job':
      yield effect.job.capability
      return
    case 'statement':
      yield* ofStatement(effect.statement, known)
      return
    case 'none':
  }
}

function* ofStatement(statement: Statement, known: Known): Topics {
  switch (statement.type) {
    case 'proposal/1':
      yield* ofAction(statement.body.action, known)
      return
    case 'ballot/1':
    case 'comment/1':
      yield* ofProposal(statement.body.proposal, known)
      return
    case 'suite/1':
      yield statement.suite
      return
    case 'evaluation/1':
      yield* ofRelease(statement.body.release, known)
      if (statement.body.against !== undefined) yield* ofRelease(statement.body.against, known)
      yield statement.body.suite
      return
    default:
  }
}

function* ofDecision({ settled, community }: Decision, known: Known): Topics {
  if (settled.kind === 'roll') {
    for (const [author] of [...settled.joins.map(({ join }) => join), ...settled.leaves]) yield identityToText(author)
    return
  }
  const proposal = openEnclosed(settled.proposal, community)
  yield proposal.id
  yield* ofAction(bodyOf(proposal, 'proposal/1').action, known)
}

function* ofProposal(id: Uint8Array, known: Known): Topics {
  yield id
  const proposal = known.proposal(id)
  if (proposal !== undefined) yield* ofAction(proposal.action, known)
}

function* ofAction(action: ProposedAction, known: Known): Topics {
  switch (action.kind) {
    case 'upgrade':
    case 'rollback':
    case 'withdraw':
      yield action.capability
      yield* ofRelease(action.release, known)
      if (action.kind === 'upgrade' && action.current !== undefined) yield* ofRelease(action.current, known)
      return
    case 'suite':
      yield action.capability
      yield action.suite
      return
    case 'admit':
    case 'remove':
      yield identityToText(action.identity)
      return
    case 'rule':
  }
}

function* ofRelease(id: Uint8Array, known: Known): Topics {
  yield id
  const manifest = known.manifest(id)
  if (manifest !== undefined) yield* ofManifest(manifest)
}

function* ofManifest({ name, version, publisher, capabilities }: Manifest): Topics {
  yield name
  yield `${name}@${version}`
  yield `${identityToText(publisher)}/${name}@${version}`
  for (const capability of capabilities) yield capability.name
}
