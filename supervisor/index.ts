// Runs a part of a node in a child process of its own, so that hostile network input or a hostile model file can end that process only.
// Owns: starting with a minimal environment, typed requests with events, heartbeat, back-off restart, quarantine of what killed a child
// three times, and that no child outlives its parent. Called by swarm/ (network child), assembler/ (engine child), academy/ (trainer).
// Must never: know what the messages mean, retry a request by itself (the caller knows whether that is safe), keep keys, or touch files.
// `superviseChild` is for the parent, `serveRequests` is the whole main loop of a child's entry point.
export type { ChildState } from './child-state.ts'
export { superviseChild } from './supervise-child.ts'
export type { ChildOptions, RequestOptions, SupervisedChild } from './supervise-child.ts'
export { serveRequests } from './serve-requests.ts'
export type { RequestContext, RequestHandlers, ServeOptions } from './serve-requests.ts'
export { siblingEntry } from './sibling-entry.ts'
export { withoutFolders } from './exit-reason.ts'
