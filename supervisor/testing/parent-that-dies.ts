// Starts a child, tells its process id and then waits to be killed.
import { superviseChild, siblingEntry } from '../index.ts'

const child = superviseChild({
  name: 'test',
  entry: siblingEntry('./misbehaving-child', import.meta.url),
  args: ['has-work'],
})
process.stdout.write(`${await child.request<number>('pid', null)}\n`)
