import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { kit } from '../testing/kit.ts'
import { type Bencode, decodeBencode, encodeBencode, latin1 } from './bencode.ts'
import { isMeshError } from './errors.ts'
import { limits } from './limits.ts'
import {
  buildPatchTorrent,
  buildReleaseTorrent,
  readPatchTorrent,
  readReleaseTorrent,
  releasePieceBytes,
} from './release-torrent.ts'
import { readTorrentInfo } from './torrent-info.ts'

const aTorrent = () => buildReleaseTorrent({ manifestBytes: 3, adapterBytes: 5, pieces: new Uint8Array(20).fill(7) })

function codeOf(work: () => unknown): string {
  try {
    work()
    return 'accepted'
  } catch (error) {
    return isMeshError(error) ? error.code : String(error)
  }
}

/** The metainfo of `aTorrent` with its info dictionary (or the dictionary around it) changed. */
function altered(change: (info: Map<string, Bencode>, outer: Map<string, Bencode>) => void): Uint8Array {
  const outer = new Map(decodeBencode(aTorrent().metainfo) as Map<string, Bencode>)
  const info = new Map(outer.get('info') as Map<string, Bencode>)
  outer.set('info', info)
  change(info, outer)
  return encodeBencode(outer)
}

describe('the release torrent', () => {
  it('is these very bytes', () => {
    const torrent = aTorrent()
    const info =
      'd5:filesld6:lengthi3e4:pathl8:manifesteed6:lengthi5e4:pathl12:adapter.ggufeee' +
      `4:name19:lora-mesh-release-112:piece lengthi65536e6:pieces20:${'\u0007'.repeat(20)}e`
    expect(torrent.metainfo).toEqual(latin1(`d4:info${info}e`))
    expect(Buffer.from(torrent.infohash).toString('hex')).toBe(createHash('sha1').update(latin1(info)).digest('hex'))
  })

  it('is read back from a file and from the bare info dictionary that peers send', () => {
    const torrent = aTorrent()
    expect(readReleaseTorrent(torrent.metainfo)).toEqual(torrent)
  })

  it('has a piece length that follows from the size alone', () => {
    const MiB = 1024 * 1024
    expect([1, 4 * MiB, 4 * MiB + 1, 256 * MiB, 256 * MiB + 1].map(releasePieceBytes)).toEqual([
      64 * 1024,
      64 * 1024,
      256 * 1024,
      256 * 1024,
      MiB,
    ])
  })

  it.each<[string, string, (info: Map<string, Bencode>, outer: Map<string, Bencode>) => void]>([
    ['another name', 'manifest-invalid', (info) => info.set('name', latin1('other'))],
    ['a path upwards', 'malformed', (info) => info.set('name', latin1('..'))],
    ['another piece length', 'manifest-invalid', (info) => info.set('piece length', 32_768)],
    ['a private flag', 'manifest-invalid', (info) => info.set('private', 1)],
    ['a tracker', 'manifest-invalid', (_, outer) => outer.set('announce', latin1('http://tracker.example'))],
    ['a web seed', 'manifest-invalid', (_, outer) => outer.set('url-list', latin1('http://seed.example'))],
    ['one hash too many', 'malformed', (info) => info.set('pieces', new Uint8Array(40))],
    ['one file', 'manifest-invalid', (info) => info.set('files', (info.get('files') as Bencode[]).slice(0, 1))],
    ['swapped files', 'manifest-invalid', (info) => info.set('files', (info.get('files') as Bencode[]).toReversed())],
  ])('is refused with %s', (_, code, change) => {
    expect(codeOf(() => readReleaseTorrent(altered(change)))).toBe(code)
  })

  it('is refused beyond the size limits before anything is allocated for it', () => {
    const pieces = new Uint8Array(20)
    expect(
      codeOf(() => buildReleaseTorrent({ manifestBytes: limits.sealedMaxBytes + 1, adapterBytes: 1, pieces })),
    ).toBe('too-large')
    expect(
      codeOf(() => buildReleaseTorrent({ manifestBytes: 1, adapterBytes: limits.adapterMaxBytes + 1, pieces })),
    ).toBe('too-large')
    expect(codeOf(() => readReleaseTorrent(new Uint8Array(200_000)))).toBe('too-large')
  })

  it('never yields two infohashes for one metainfo, whatever is flipped in it', () => {
    const { metainfo } = aTorrent()
    fc.assert(
      fc.property(fc.nat(metainfo.length - 1), fc.nat(255), (at, byte) => {
        const mutant = Uint8Array.from(metainfo)
        mutant[at] = byte
        try {
          expect(readReleaseTorrent(mutant).metainfo).toEqual(mutant)
        } catch (error) {
          expect(isMeshError(error)).toBe(true)
        }
      }),
    )
  })
})

interface Judged {
  readonly file: string
  readonly verdict: 'accept' | 'contain' | 'reject'
}

describe.skipIf(!kit.present)('crafted torrents (needs the kit)', () => {
  const files = kit.present
    ? (JSON.parse(readFileSync(kit.path('hostile/torrents/expected.json'), 'utf8')) as { files: Judged[] }).files
    : []

  it.each(files)('$file is judged $verdict', ({ file, verdict }) => {
    const bytes = readFileSync(kit.path('hostile/torrents', file))
    const general = codeOf(() => readTorrentInfo(bytes))
    if (verdict === 'accept') expect(general).toBe('accepted')
    if (verdict === 'reject') expect(general).toBe('malformed')
    // Our own policy takes none of them, so "contain" is met by refusing.
    expect(codeOf(() => readReleaseTorrent(bytes))).not.toBe('accepted')
  })
})

describe('the patch torrent', () => {
  const aPatch = () => buildPatchTorrent(70_000, new Uint8Array(40).fill(7))

  it('is these very bytes', () => {
    const info =
      'd5:filesld6:lengthi70000e4:pathl5:patcheee' +
      `4:name17:lora-mesh-patch-112:piece lengthi65536e6:pieces40:${'\u0007'.repeat(40)}e`
    expect(aPatch().metainfo).toEqual(latin1(`d4:info${info}e`))
    expect(Buffer.from(aPatch().infohash).toString('hex')).toBe(createHash('sha1').update(latin1(info)).digest('hex'))
  })

  it('is no release torrent, and no release torrent is one', () => {
    expect(readPatchTorrent(aPatch().metainfo)).toEqual(aPatch())
    expect(codeOf(() => readReleaseTorrent(aPatch().metainfo))).toBe('manifest-invalid')
    expect(codeOf(() => readPatchTorrent(aTorrent().metainfo))).toBe('manifest-invalid')
  })

  it('is refused when it is empty or too large', () => {
    expect(codeOf(() => buildPatchTorrent(0, new Uint8Array(0)))).toBe('manifest-invalid')
    expect(codeOf(() => buildPatchTorrent(limits.adapterMaxBytes + 1, new Uint8Array(20)))).toBe('too-large')
  })
})
