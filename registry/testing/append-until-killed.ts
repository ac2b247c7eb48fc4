// A process that publishes without end and says so line by line, each line only after the record is on the disk. A test kills it.
import { writeSync } from 'node:fs'
import { toHex } from '../../protocol/index.ts'
import { systemClock } from '../clock.ts'
import { openRegistry } from '../open-registry.ts'
import { anAuthor, aRelease, countedRandom, infohashOf } from './builders.ts'

const [path, from] = process.argv.slice(2)
if (path === undefined || from === undefined) throw new Error('usage: append-until-killed PATH FROM')
const author = anAuthor('alice')
const registry = openRegistry({ path, author, clock: systemClock, random: countedRandom('alice') })
for (let n = Number(from); ; n++) {
  const release = aRelease(author, { version: `1.0.${n}` })
  const result = registry.publishRelease(release, infohashOf(release))
  if (result.kind !== 'appended') throw new Error(result.message)
  writeSync(1, `${n} ${toHex(result.record.id)}\n`)
}
