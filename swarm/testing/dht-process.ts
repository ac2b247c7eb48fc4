// A child process with DHT nodes and nothing else, so that a test sees whether a packet ends the process.
import { serveRequests } from '../../supervisor/index.ts'
import { startDht } from '../network-child/guarded-dht.ts'

serveRequests({
  start: async () => (await startDht({ host: '127.0.0.1', port: 0, bootstrap: [] })).address.port,
  pid: async () => process.pid,
})
