import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { goldenObjects } from '../testing/golden-objects.ts'
import {
  decodeCanonical,
  decodeWireMessage,
  fromHex,
  openCertificate,
  openDecision,
  openGenesis,
  openInvitationCode,
  openManifest,
  openPersonaLink,
  personaTopic,
  readBody,
  readReleaseTorrent,
  toHex,
  uncoverLockfile,
  verifyRecord,
} from './index.ts'

const golden = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8')) as Record<string, string>
const bytesOf = (name: string): Uint8Array => fromHex(golden[name] ?? '')

describe('the golden bytes', () => {
  it('are what this version writes: anything else splits the mesh', () => {
    expect(goldenObjects()).toEqual(golden)
  })

  it('are read and verified by this version', () => {
    expect(toHex(openManifest(bytesOf('sealed manifest')).releaseId)).toBe(golden['release id'])
    expect(toHex(openGenesis(bytesOf('sealed genesis')).id)).toBe(golden['community id'])
    expect(toHex(readReleaseTorrent(bytesOf('release torrent')).infohash)).toBe(golden['release torrent, infohash'])
  })

  it('hold a persona link, and the lockfile that only the link opens', () => {
    const { digest } = openPersonaLink(golden['persona link'] ?? '')
    const message = decodeWireMessage(bytesOf('lockfile/1 frame'))
    if (message.type !== 'lockfile/1') throw new Error(`a ${message.type}`)
    expect(message.topic).toEqual(personaTopic(digest))
    expect(decodeCanonical(uncoverLockfile(digest, message.covered))).toEqual({ format: 'lora-mesh-lockfile/1' })
  })

  it('hold a decision of a community with everything that proves it', () => {
    const certificate = openCertificate(bytesOf('certificate of the decision'))
    expect(toHex(certificate.id)).toBe(golden['decision id'])
    expect(toHex(openDecision(bytesOf('decision')).id)).toBe(golden['decision id'])
    expect(toHex(openInvitationCode(golden['invitation code'] ?? '').community)).toBe(golden['community id'])
  })

  it('hold a record of a type nobody knows: it verifies and does nothing', () => {
    const record = verifyRecord({
      envelope: bytesOf('dance/7 record, envelope'),
      body: bytesOf('dance/7 record, body'),
    })
    expect(readBody(record)).toEqual({ type: 'unknown' })
    expect(toHex(record.id)).toBe(golden['dance/7 record, id'])
  })
})
