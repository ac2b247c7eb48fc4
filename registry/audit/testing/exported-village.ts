// For tests: a community with everything in it that an export can hold, on a disk of its own.
import { createRecord, encodeBody, toHex, utf8 } from '../../../protocol/index.ts'
import type { Author, VerifiedRecord } from '../../../protocol/index.ts'
import { someTimeMs } from '../../../testing/objects.ts'
import { Communities, isKnown } from '../../communities.ts'
import type { KnownCommunity } from '../../communities.ts'
import { Database } from '../../database.ts'
import { foldCommunity } from '../../fold-community.ts'
import { PaperVillage, upgradeTo } from '../../governance/testing/paper-village.ts'
import { LogStore } from '../../log-store.ts'
import { viewLogs } from '../../record-effects.ts'
import { aLog, anAuthor, aRelease, saysRelease, saysUnknown, saysWithdrawal } from '../../testing/builders.ts'
import { exportLines } from '../export-log.ts'
import { logsInOrder } from '../gather.ts'

export interface ExportedVillage extends Disposable {
  readonly village: PaperVillage
  readonly community: KnownCommunity
  readonly store: LogStore
  /** Of the fold of everything that is held. */
  readonly stateHash: string
  /** Lines with their line feeds. */
  lines(exporter?: Author): string[]
}

/** Alice, Bob and Carol found it; an upgrade, an invitation, a public log, unknown records, a stranger's log, and Carol's log forks. */
export function anExportedVillage(): ExportedVillage {
  const village = new PaperVillage({ alice: 'admin', bob: 'admin', carol: 'user' })
  village.accept('alice', upgradeTo('biology-1'))
  village.join('alice', 'dave')
  const { id } = village.says('carol', 'suite/1', { suite: utf8('{"prompt": "2 + 2", "answer": "4"}\n') })
  village.says('carol', 'comment/1', { proposal: id, text: 'I said so' })
  village.proposal('bob', upgradeTo('biology-2', 'biology-1'))
  const database = new Database({ path: ':memory:' })
  const store = new LogStore(database)
  const records = [...village.records, ...publicLogs(), ...anotherRecord(village)]
  store.offer(records)
  const community = communityOf(village, database)
  return {
    village,
    community,
    store,
    stateHash: toHex(foldCommunity(village.genesis, viewLogs(records), village.state).stateHash),
    lines: (exporter = anAuthor('alice')) => [
      ...exportLines({ community, store, logs: logsInOrder({ store, community }) }, exporter, someTimeMs),
    ],
    [Symbol.dispose]: () => database[Symbol.dispose](),
  }
}

function communityOf(village: PaperVillage, database: Database): KnownCommunity {
  const community = new Communities(database).learnGenesis(village.genesis)
  if (!isKnown(community)) throw new Error('a community without its genesis')
  for (const { sealed } of village.certificates) community.chain.offer(sealed)
  return community
}

function publicLogs(): VerifiedRecord[] {
  const [alice, stranger] = [anAuthor('alice'), anAuthor('stranger')]
  const release = aRelease(alice)
  const said = [saysRelease(release), saysUnknown('a verse'), saysWithdrawal(release)]
  return [...aLog(alice, 'public', said), ...aLog(stranger, 'public', [saysRelease(aRelease(stranger))])]
}

/** Carol signs another record in the place of her second. */
function anotherRecord(village: PaperVillage): VerifiedRecord[] {
  const carol = anAuthor('carol')
  const [opening, second] = village.records.filter(({ fields }) => toHex(fields.author) === toHex(carol.identity))
  const { scope, index, time } = second!.fields
  const body = encodeBody('comment/1', { proposal: opening!.id, text: 'I said something else' })
  return [createRecord({ scope, index, previous: opening!.id, type: 'comment/1', time, body }, carol)]
}
