// What is exported is checked from its bytes alone, and no change to it stays unseen.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { identityToText, MeshError, toHex } from '../../protocol/index.ts'
import type { Author } from '../../protocol/index.ts'
import { anAuthor, aLog, saysUnknown } from '../testing/builders.ts'
import { decodeLine, encodeLine, signEnding } from './log-file.ts'
import type { LogLine } from './log-file.ts'
import { anExportedVillage } from './testing/exported-village.ts'
import { verifyLog } from './verify-log.ts'
import type { LogVerdict } from './verify-log.ts'

const exported = anExportedVillage()
afterAll(() => exported[Symbol.dispose]())
const lines = exported.lines()
const whole = Buffer.from(lines.join(''))
const everyLine = lines.map((_, i) => i)

async function verdictOf(bytes: Uint8Array, chunkBytes = 1_000): Promise<LogVerdict> {
  return verifyLog(chunksOf(bytes, chunkBytes))
}

async function* chunksOf(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

const verdictOn = (changed: readonly string[]): Promise<LogVerdict> => verdictOf(Buffer.from(changed.join('')))

/** What somebody can do who exports it anew: all lines fit their digest again, and the signature is theirs. */
function resigned(
  changed: readonly string[],
  author: Author,
  community = toHex(exported.village.genesis.id),
): string[] {
  const before = changed.slice(0, -1)
  const digest = createHash('sha256').update(before.join('')).digest('hex')
  return [...before, `${encodeLine(signEnding({ community, lines: before.length, digest }, author))}\n`]
}

const numberOf = (kind: LogLine['kind'], from = 0): number =>
  lines.findIndex((line, i) => i >= from && decodeLine(line.trimEnd()).kind === kind)
const replaced = (at: number, ...by: readonly string[]): string[] => lines.toSpliced(at, 1, ...by)

describe('a whole export', () => {
  test('says what is in it, and comes to the state of the node that exported it', async () => {
    expect(await verdictOf(whole)).toMatchObject({
      kind: 'whole',
      name: exported.village.genesis.genesis.name,
      exportedBy: identityToText(anAuthor('alice').identity),
      lines: lines.length,
      // Four in the community, and Alice in public; the stranger's public log is nobody's business here.
      logs: 5,
      authors: 4,
      forks: 1,
      certificates: 2,
      members: 4,
    })
    const verdict = await verdictOf(whole)
    expect(verdict.kind === 'whole' && toHex(verdict.stateHash)).toBe(exported.stateHash)
  })

  test('is read the same however it is cut into pieces', async () => {
    for (const chunkBytes of [1, 7, whole.length]) expect((await verdictOf(whole, chunkBytes)).kind).toBe('whole')
  })

  test('that cannot be read is neither whole nor broken', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, 500)
      throw new MeshError('storage-failed', 'The disk is gone.')
    }
    await expect(verifyLog(failing())).rejects.toMatchObject({ code: 'storage-failed' })
  })

  test('has the same bytes each time', () => {
    expect(exported.lines()).toEqual(lines)
  })
})

describe('a changed export is found out', () => {
  test('any bit of any byte', async () => {
    const anyChange = fc.record({ at: fc.nat(whole.length - 1), flip: fc.integer({ min: 1, max: 255 }) })
    await fc.assert(
      fc.asyncProperty(anyChange, async ({ at, flip }) => {
        const changed = Uint8Array.from(whole)
        changed[at]! ^= flip
        expect((await verdictOf(changed, whole.length)).kind).toBe('broken')
      }),
      { numRuns: 250 },
    )
  })

  test('bytes all over the line that ends it', async () => {
    const from = whole.length - Buffer.byteLength(lines.at(-1)!)
    for (let at = from; at < whole.length; at += 7) {
      const changed = Uint8Array.from(whole)
      changed[at]! ^= 1
      expect(await verdictOf(changed, whole.length)).toMatchObject({ kind: 'broken' })
    }
  })

  test('the date of the export, which nothing else depends on', async () => {
    const later = lines[0]!.replace(/"at":"20/, '"at":"21')
    expect(await verdictOn(replaced(0, later))).toEqual({
      kind: 'broken',
      line: lines.length,
      why: 'A line before this was changed since the export.',
    })
  })

  test('spaces that mean nothing, and other spellings of the same value', async () => {
    const [first, last] = [lines[0]!, lines.at(-1)!]
    const spellings = [
      lines.with(lines.length - 1, last.replace('{"kind"', '{ "kind"')),
      lines.with(lines.length - 1, last.replace('"kind":"end"', '"kind":"\\u0065nd"')),
      lines.with(lines.length - 1, last.replace('\n', '\r\n')),
      lines.with(0, `\ufeff${first}`),
    ]
    for (const spelling of spellings) expect((await verdictOn(spelling)).kind).toBe('broken')
  })

  test('any line left out', async () => {
    for (const at of everyLine) expect((await verdictOn(replaced(at))).kind).toBe('broken')
  })

  test('any line twice', async () => {
    for (const at of everyLine) expect((await verdictOn(replaced(at, lines[at]!, lines[at]!))).kind).toBe('broken')
  })

  test('any two neighbouring lines swapped', async () => {
    for (const at of everyLine.slice(1)) {
      const swapped = lines.with(at - 1, lines[at]!).with(at, lines[at - 1]!)
      expect((await verdictOn(swapped)).kind).toBe('broken')
    }
  })

  test('cut off anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        expect((await verdictOf(whole.subarray(0, length), whole.length)).kind).toBe('broken')
      }),
      { numRuns: 50 },
    )
    expect(await verdictOf(whole.subarray(0, -1))).toEqual({
      kind: 'broken',
      line: lines.length,
      why: 'This line was cut off.',
    })
    expect(await verdictOn(lines.slice(0, -1))).toMatchObject({
      line: lines.length,
      why: expect.stringContaining('cut off'),
    })
  })

  test('something after its end', async () => {
    for (const more of ['\n', lines[1]!, lines.at(-1)!]) {
      expect(await verdictOn([...lines, more])).toEqual({
        kind: 'broken',
        line: lines.length + 1,
        why: 'Nothing may follow the line that ends an export.',
      })
    }
  })

  test('nothing at all, and what is no export', async () => {
    expect(await verdictOn([])).toMatchObject({ kind: 'broken', line: 1 })
    expect(await verdictOn(['{}\n'])).toMatchObject({ kind: 'broken', line: 1 })
    const endless = await verdictOf(Buffer.alloc(1_000_000, 'a'))
    expect(endless).toMatchObject({ kind: 'broken', line: 1, why: expect.stringContaining('no line of an export has') })
  })
})

describe('an exporter who signs what it changed', () => {
  const mallory = anAuthor('mallory')
  const at = (verdict: LogVerdict): number => (verdict.kind === 'broken' ? verdict.line : 0)

  test('is shown as the exporter', async () => {
    const header = decodeLine(lines[0]!.trimEnd()) as Extract<LogLine, { kind: 'log' }>
    const own = `${encodeLine({ ...header, exportedBy: identityToText(mallory.identity) })}\n`
    expect(await verdictOn(resigned(replaced(0, own), mallory))).toMatchObject({
      kind: 'whole',
      exportedBy: identityToText(mallory.identity),
    })
  })

  test('cannot sign in the name of another', async () => {
    expect(await verdictOn(resigned(lines, mallory))).toMatchObject({
      kind: 'broken',
      line: lines.length,
      why: 'Somebody else signed it than the first line names.',
    })
  })

  test('cannot give a record another body that is valid elsewhere', async () => {
    const one = numberOf('record')
    const [a, b] = [one, one + 1].map((i) => decodeLine(lines[i]!.trimEnd()) as Extract<LogLine, { kind: 'record' }>)
    const changed = `${encodeLine({ ...b!, body: a!.body })}\n`
    expect(await verdictOn(resigned(replaced(one + 1, changed), anAuthor('alice')))).toEqual({
      kind: 'broken',
      line: one + 2,
      why: "This record's body is not the one its author signed.",
    })
  })

  test('cannot leave a record out of the middle of a log, or a certificate out of the chain', async () => {
    const record = numberOf('record', numberOf('fork')) + 1
    const verdict = await verdictOn(resigned(replaced(record), anAuthor('alice')))
    expect(verdict).toMatchObject({ kind: 'broken', line: record + 1, why: expect.stringContaining('is missing') })
    const certificate = numberOf('certificate')
    expect(await verdictOn(resigned(replaced(certificate), anAuthor('alice')))).toMatchObject({
      kind: 'broken',
      line: certificate + 1,
      why: expect.stringContaining('does not follow the last certificate'),
    })
  })

  test('cannot begin a log in its middle, or bring it twice or in another place', async () => {
    const record = numberOf('record')
    for (const changed of [replaced(record), replaced(record, lines[record]!, lines[record]!)]) {
      expect(at(await verdictOn(resigned(changed, anAuthor('alice'))))).toBeGreaterThan(record)
    }
    const certificate = numberOf('certificate')
    const late = lines.toSpliced(certificate, 0, lines[record]!)
    expect(await verdictOn(resigned(late, anAuthor('alice')))).toMatchObject({ kind: 'broken', line: certificate + 1 })
    const last = lines.toSpliced(certificate + 1, 0, lines[record]!)
    expect(at(await verdictOn(resigned(last, anAuthor('alice'))))).toBe(certificate + 2)
  })

  test('cannot put the other record of a fork in the place of the first', async () => {
    const fork = numberOf('fork')
    const other = lines[fork]!.replace('"fork"', '"record"')
    // The log has four records, and it forks at its second.
    expect(await verdictOn(resigned(replaced(fork - 3, other), anAuthor('alice')))).toEqual({
      kind: 'broken',
      line: fork - 1,
      why: 'This record does not follow the one before it.',
    })
  })

  test('cannot speak for a device that its author did not certify', async () => {
    const device = { ...anAuthor('mallory'), identity: anAuthor('alice').identity }
    const log = aLog(device, 'public', [saysUnknown('in her name')])
    const forged = log.map(({ envelope, body }) => `${encodeLine({ kind: 'record', envelope, body })}\n`)
    const at = numberOf('certificate')
    const places = everyLine.filter((line) => line > 0 && line <= at)
    const verdicts = await Promise.all(
      places.map((line) => verdictOn(resigned(lines.toSpliced(line, 0, ...forged), anAuthor('alice')))),
    )
    const whys = new Set(verdicts.map((verdict) => (verdict.kind === 'broken' ? verdict.why : 'whole')))
    expect(whys).not.toContain('whole')
    expect(whys).toContain('The certificate in this log is for another device or author.')
  })

  test('cannot let records follow certificates', async () => {
    const certificate = numberOf('certificate')
    const swapped = lines.with(certificate - 1, lines[certificate]!).with(certificate, lines[certificate - 1]!)
    expect(await verdictOn(resigned(swapped, anAuthor('alice')))).toEqual({
      kind: 'broken',
      line: certificate + 1,
      why: 'This line stands in the wrong place.',
    })
  })

  test('cannot claim a fork that its own record proves no more than once', async () => {
    const fork = numberOf('fork')
    const claims = [
      replaced(fork, lines[fork]!, lines[fork]!),
      replaced(fork, lines[fork - 1]!.replace('"record"', '"fork"')),
      lines.toSpliced(numberOf('certificate'), 0, lines[fork]!),
    ]
    for (const claim of claims) expect((await verdictOn(resigned(claim, anAuthor('alice')))).kind).toBe('broken')
  })

  test('cannot bring records of another community, or another genesis', async () => {
    const other = aLog(anAuthor('alice'), '0'.repeat(64), [saysUnknown('elsewhere')])
    const strange = other.map(({ envelope, body }) => `${encodeLine({ kind: 'record', envelope, body })}\n`)
    expect(await verdictOn(resigned(replaced(0, lines[0]!, ...strange), anAuthor('alice')))).toMatchObject({
      line: 2,
      why: 'This record is of another community.',
    })
    const renamed = lines[0]!.replace(/"community":"[0-9a-f]{4}/, '"community":"0000')
    expect(at(await verdictOn(resigned(replaced(0, renamed), anAuthor('alice'))))).toBe(1)
  })
})
