// For tests: sends exact bytes to a port, as no HTTP library would, and tells the status that came back.
import { connect } from 'node:net'

/** The status code, or `closed` when the server hung up without an answer. */
export function rawRequest(port: number, bytes: string): Promise<number | 'closed'> {
  return new Promise((done) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      answer += chunk
      if (answer.includes('\r\n')) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]
      done(status === undefined ? 'closed' : Number(status))
    })
  })
}
