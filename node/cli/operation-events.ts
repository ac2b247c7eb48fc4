// What operations of the node tell while they run, shown on the terminal. Kinds that a command does not know are left alone.
import { z } from 'zod'
import type { OperationEvent } from '../http/index.ts'
import type { Terminal } from './terminal.ts'

const progressSchema = z.looseObject({
  label: z.string(),
  doneBytes: z.number(),
  totalBytes: z.number(),
  peers: z.number().optional(),
})
const noteSchema = z.looseObject({ text: z.string() })

/** Draws `progress`, prints `note`; hands everything else to `others`. */
export function showProgress(terminal: Terminal, others: (event: OperationEvent) => void = () => {}) {
  return (event: OperationEvent): void => {
    if (event.type === 'progress') {
      const { label, doneBytes, totalBytes, peers } = progressSchema.parse(event)
      terminal.progress.show({ label, doneBytes, totalBytes, ...(peers === undefined ? {} : { peers }) })
    } else if (event.type === 'note') terminal.say(noteSchema.parse(event).text)
    else others(event)
  }
}
