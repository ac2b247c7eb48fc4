// Names of those that are judged, made from what the other parts of the node call them.
import { identityToText } from '../../protocol/index.ts'
import type { Subject } from '../../registry/index.ts'
import type { PeerName } from '../../swarm/index.ts'

export function identitySubject(identity: Uint8Array): Subject {
  return `identity:${identityToText(identity)}`
}

/** A home has one address and any number of ports; on loopback each port is another node. */
export function peerSubject({ kind, id }: PeerName): Subject {
  if (kind === 'noise') return `noise:${id}`
  // Where both kinds of addresses are listened on, those of version 4 come dressed as version 6.
  const address = id.replace(/^::ffff:/, '')
  const host = address.slice(0, address.lastIndexOf(':'))
  return `tcp:${host.startsWith('127.') || host === '::1' || host === '' ? address : host}`
}

/** As people see it: "6ka7gatc365o…", "peer 3f2a9c…", "192.0.2.7". */
export function subjectText(subject: Subject): string {
  const at = subject.indexOf(':')
  const id = subject.slice(at + 1)
  if (subject.startsWith('tcp:')) return id
  return subject.startsWith('noise:') ? `peer ${id.slice(0, 12)}…` : `${id.slice(0, 12)}…`
}
