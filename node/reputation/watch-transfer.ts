// One transfer as far as its peers are to be judged by it.
import { releasePieceBytes } from '../../protocol/index.ts'
import type { Seen, Subject } from '../../registry/index.ts'
import type { FetchTorrentEvent, PeerTraffic } from '../../swarm/index.ts'
import { peerSubject } from './subjects.ts'

export type SeenOf = readonly [subject: Subject, seen: Partial<Seen>]

export interface TransferWatch {
  hear(event: FetchTorrentEvent): void
  /** Every byte that was kept is verified. Without it nobody is thanked: what was sent may have been of no use. */
  served(peers: readonly PeerTraffic[]): void
}

/** A peer's time runs from here, where seeders are looked for, to the last byte. */
export function watchTransfer(observe: (seen: readonly SeenOf[]) => void, now: () => number): TransferWatch {
  const badBytes = new Map<Subject, number>()
  const since = now()
  let until: number | undefined
  let totalBytes = 0
  return {
    hear(event) {
      if (event.kind === 'progress') totalBytes = event.progress.totalBytes
      else if (event.kind === 'verifying') until = now()
      else {
        const subject = peerSubject(event.peer)
        const piece = releasePieceBytes(totalBytes)
        badBytes.set(subject, (badBytes.get(subject) ?? 0) + piece)
        observe([[subject, { badBytes: piece }]])
      }
    },
    served(peers) {
      const seconds = ((until ?? now()) - since) / 1_000
      observe(
        [...receivedBytes(peers)].flatMap(([subject, received]): SeenOf[] => {
          const goodBytes = received - (badBytes.get(subject) ?? 0)
          return goodBytes > 0 ? [[subject, { goodBytes, transfers: 1, seconds }]] : []
        }),
      )
    },
  }
}

/** Several ports of one address are one. */
function receivedBytes(peers: readonly PeerTraffic[]): Map<Subject, number> {
  const bytes = new Map<Subject, number>()
  for (const peer of peers) {
    const subject = peerSubject(peer)
    bytes.set(subject, (bytes.get(subject) ?? 0) + peer.receivedBytes)
  }
  return bytes
}
