// A child process that died and came back is told to the user, an ordinary start is not.
import type { EngineState } from '../assembler/index.ts'

export function tellRestarts(name: string, log: (line: string) => void): (state: EngineState) => void {
  let died = false
  return (state) => {
    if (state.kind === 'backing-off') {
      died = true
      log(`The ${name} process ended (${state.lastExit}); it is being restarted.`)
    } else if (state.kind === 'running' && died) {
      died = false
      log(`The ${name} process runs again (pid ${state.pid}).`)
    }
  }
}
