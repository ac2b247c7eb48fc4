// For data-folder.test.ts: a process that holds a data folder until it is killed, or reports why it could not.
import { isMeshError } from '../../protocol/index.ts'
import { openDataFolder } from '../data-folder.ts'

const [root = '', since = '0'] = process.argv.slice(2)
try {
  const folder = await openDataFolder(root, 'up', () => Number(since))
  await folder.lock.announce('http://127.0.0.1:4747')
  process.send?.({ kind: 'held' })
} catch (error) {
  process.send?.({ kind: isMeshError(error) ? error.code : String(error) })
}
// Keeps the process alive, and ends it with its parent.
process.on('disconnect', () => process.exit())
