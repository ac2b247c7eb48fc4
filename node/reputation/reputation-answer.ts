// Reputation as the API and `peers --explain` show it.
import { toHex } from '../../protocol/index.ts'
import { whyStanding } from '../../registry/index.ts'
import type { PeerView, Standing, Subject } from '../../registry/index.ts'
import type { Reputation } from './reputation.ts'
import { subjectText } from './subjects.ts'

/** Of those connected too, though nothing may be known of them yet. */
export function reputationAnswer(reputation: Reputation, peers: readonly PeerView[]): object {
  const known = reputation.standings()
  const names = new Set(known.map(({ subject }) => subject))
  const connected = peers.flatMap(({ transferKey }): Subject[] => (transferKey ? [`noise:${toHex(transferKey)}`] : []))
  const newcomers = connected.filter((subject) => !names.has(subject)).map((subject) => reputation.standingOf(subject))
  const online = new Set(connected)
  return { standings: [...known, ...newcomers].map((one) => answer(one, online.has(one.subject))) }
}

function answer(standing: Standing, connected: boolean): object {
  const { subject, score, chosen, seen, trust } = standing
  const { goodBytes, badBytes, transfers, seconds, confirmed, refuted } = seen
  return {
    subject,
    name: subjectText(subject),
    connected,
    score,
    chosen,
    goodBytes: Math.round(goodBytes),
    badBytes: Math.round(badBytes),
    transfers,
    bytesPerSecond: seconds > 0 ? Math.round(goodBytes / seconds) : undefined,
    confirmed,
    refuted,
    direct: trust?.direct ?? 0,
    endorsers: trust?.endorsers ?? [],
    bridges: trust?.bridges ?? [],
    why: whyStanding(standing, subjectText),
  }
}
