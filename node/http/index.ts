// The node's HTTP API: JSON over 127.0.0.1, for the command line, the page and scripts of the same user.
// It owns the port, the gate in front of it (host, origin, token, rate, size) and the form of calls; it knows no features. Rows for them
// stand in node/api/. Called by the composition root, which serves, and by the command line, which is a client like any other.
// It must never answer a request that a web page of another origin could have sent, nor log a header, a token or a prompt.
export { httpClient } from './client.ts'
export type { CallOptions, HttpClient } from './client.ts'
export { route } from './route.ts'
export type { CallContext, OperationEvent, Route } from './route.ts'
export { serveHttp } from './serve.ts'
export type { HttpServer, ServeOptions } from './serve.ts'
