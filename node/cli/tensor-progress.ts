// Progress of writing a model file, tensor by tensor: a line a second, so that what is quick says nothing.
import type { WriteProgress } from '../../model-files/index.ts'
import type { Terminal } from './terminal.ts'

const lineEveryMs = 1_000

export function tensorProgress(
  terminal: Pick<Terminal, 'say'>,
  clock: () => number = performance.now.bind(performance),
): (progress: WriteProgress) => void {
  let saidAt = clock()
  return ({ done, total }) => {
    const now = clock()
    if (now - saidAt < lineEveryMs) return
    saidAt = now
    terminal.say(`${done} of ${total} tensors written`)
  }
}
