// A child for the supervisor's tests: it can do every bad thing a real one might.
import { writeFileSync } from 'node:fs'
import { MeshError } from '../../protocol/index.ts'
import { serveRequests } from '../index.ts'

if (process.argv.includes('die-at-start')) throw new Error('no such library')
if (process.argv.includes('hang-at-start')) await new Promise((resolve) => setInterval(resolve, 1 << 30))

// Sockets and timers keep a real child alive when its parent is gone.
if (process.argv.includes('has-work')) setInterval(() => {}, 1000)

let remembered: unknown

const child = serveRequests(
  {
    echo: async (payload) => payload,
    pid: async () => process.pid,
    environment: async () => ({ ...process.env }),
    remember: async (payload) => (remembered = payload),
    recall: async () => remembered,
    exit: async (code) => process.exit(code as number),
    killSelf: async (signal) => {
      process.kill(process.pid, signal as NodeJS.Signals)
      return new Promise(() => {})
    },
    hang: async () => {
      for (;;);
    },
    never: () => new Promise(() => {}),
    untilAborted: (_, { signal, emit }) => {
      emit('waiting')
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          child.emit('saw the abort')
          reject(signal.reason)
        })
      })
    },
    count: async (to, { emit }) => {
      for (let i = 1; i <= (to as number); i++) emit(i)
      return to
    },
    announce: async (event) => child.emit(event),
    refuse: async () => {
      throw new MeshError('rank-limit', 'Rank 600 is above 512; use a smaller adapter.', { rank: 600 })
    },
    refuseWithBadDetails: async () => {
      throw new MeshError('rank-limit', 'Too much.', { callback: () => {} })
    },
    bug: async () => {
      throw new TypeError('x is not a function')
    },
    unclonable: async () => () => {},
    print: async (text) => process.stdout.write(text as string),
    crashWith: async (text) => {
      setImmediate(() => {
        throw new Error(text as string)
      })
      return new Promise(() => {})
    },
  },
  {
    async onStop() {
      if (process.argv.includes('never-stops')) await new Promise((resolve) => setInterval(resolve, 1 << 30))
      const note = process.argv.find((arg) => arg.startsWith('stop-note='))
      if (note !== undefined) writeFileSync(note.slice('stop-note='.length), 'stopped in good order')
    },
  },
)
