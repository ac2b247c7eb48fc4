// The life of a supervised child as a pure function, so that every order of events can be tested without a process.

export type ChildState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'running'; readonly pid: number }
  | { readonly kind: 'backing-off'; readonly untilMs: number; readonly lastExit: string }
  | { readonly kind: 'stopped' }

export type ChildEvent =
  | { readonly kind: 'ready'; readonly pid: number }
  | { readonly kind: 'exited'; readonly exit: string; readonly retryAtMs: number }
  /** The back-off is over, or somebody asked for a restart. */
  | { readonly kind: 'start' }
  | { readonly kind: 'stop' }

/** `stopped` is final; an event that makes no sense in a state (a late `ready`) leaves it as it is. */
export function next(state: ChildState, event: ChildEvent): ChildState {
  if (state.kind === 'stopped') return state
  switch (event.kind) {
    case 'ready':
      return state.kind === 'starting' ? { kind: 'running', pid: event.pid } : state
    case 'exited':
      return state.kind === 'backing-off'
        ? state
        : { kind: 'backing-off', untilMs: event.retryAtMs, lastExit: event.exit }
    case 'start':
      return state.kind === 'starting' ? state : { kind: 'starting' }
    case 'stop':
      return { kind: 'stopped' }
  }
}
