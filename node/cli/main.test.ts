// The command line as scripts meet it: real processes, exit codes, what is on which stream.
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { runCommand } from '../../testing/local-mesh.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { commands } from './command-table.ts'
import { commandHelp } from './help.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))

test('every command has a summary, a usage line, described options and examples that name it', () => {
  for (const command of commands) {
    const help = commandHelp(command)
    expect(help).toContain(`Usage: lora-mesh ${command.name}`)
    expect(command.examples.length).toBeGreaterThan(0)
    for (const example of command.examples) expect(example).toContain(`lora-mesh ${command.name}`)
    for (const option of Object.values(command.options)) expect(option.summary).not.toBe('')
  }
  expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length)
})

test('help goes to standard output and exits 0', async () => {
  const overall = await runCommand(['--help'])
  expect(overall).toMatchObject({ code: 0, stderr: '' })
  for (const { name } of commands) expect(overall.stdout).toContain(`  ${name} `)
  expect(await runCommand(['up', '--help'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('--bootstrap-dht H:P'),
  })
  expect((await runCommand(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/)
})

test('a usage error exits 64 with a suggestion, as JSON where that was asked for', async () => {
  expect(await runCommand(['innit'])).toMatchObject({
    code: 64,
    stdout: '',
    stderr: expect.stringContaining('Did you mean `lora-mesh init`?'),
  })
  const { code, stdout, stderr, json } = await runCommand(['up', '--prot', '1', '--json'])
  expect({ code, stderr }).toEqual({ code: 64, stderr: '' })
  expect(json).toEqual({
    error: { code: 'usage', message: expect.stringContaining('--prot'), details: { meant: '--port' } },
  })
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
})

test('init prints one identity, and the same one when it is run again', async () => {
  await using folder = await temporaryFolder()
  const data = join(folder.path, 'data')
  const first = await runCommand(['init', '--data', data, '--json'])
  expect(first).toMatchObject({
    code: 0,
    json: { identity: expect.stringMatching(/^[a-z2-7]{52}$/), data, created: true },
  })
  const second = await runCommand(['init', '--json'], { env: { LORA_MESH_DATA: data } })
  expect(second.json).toEqual({ ...first.json, created: false })
})

test('a command on a folder without identity says what to do and creates nothing', async () => {
  await using folder = await temporaryFolder()
  const data = join(folder.path, 'data')
  const { code, json } = await runCommand(['up', '--data', data, '--json'])
  expect({ code, json }).toMatchObject({
    code: 1,
    json: { error: { code: 'not-initialised', message: expect.stringContaining('lora-mesh init') } },
  })
  expect(existsSync(data)).toBe(false)
})

test('a running node names itself to a second one, and SIGTERM ends it with 0', async () => {
  await using folder = await temporaryFolder()
  await runCommand(['init', '--data', folder.path])
  const daemon = up(folder.path)
  const ready = await firstLine(daemon.stdout)
  expect(ready).toMatchObject({
    ready: true,
    pid: daemon.pid,
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
  })
  const second = await runCommand(['up', '--data', folder.path, '--json'])
  expect(second.code).toBe(1)
  expect(second.json).toMatchObject({
    error: { code: 'data-folder-in-use', details: { pid: daemon.pid, command: 'up', url: ready['url'] } },
  })
  daemon.kill('SIGTERM')
  expect(await once(daemon, 'exit')).toEqual([0, null])
  expect(existsSync(join(folder.path, 'holder.json'))).toBe(false)
})

test('a folder whose node was killed with SIGKILL is free again', async () => {
  await using folder = await temporaryFolder()
  await runCommand(['init', '--data', folder.path])
  const killed = up(folder.path)
  await firstLine(killed.stdout)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  const next = up(folder.path)
  expect(await firstLine(next.stdout)).toMatchObject({ ready: true, pid: next.pid })
  next.kill('SIGINT')
  expect(await once(next, 'exit')).toEqual([0, null])
})

test('a reader that goes away ends the node without a complaint', async () => {
  await using folder = await temporaryFolder()
  await runCommand(['init', '--data', folder.path])
  const child = up(folder.path)
  child.stdout.destroy()
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  await once(child, 'exit')
  expect(complaint).not.toMatch(/EPIPE|\bat \S+:\d+/)
})

test('wrong flags of up are wrong usage, whatever the data folder is like', async () => {
  await using folder = await temporaryFolder()
  for (const flags of [
    ['--port', '-1'],
    ['--port', '65536'],
    ['--bootstrap-dht', 'nowhere'],
    ['--upload-limit', '1e9'],
  ])
    expect((await runCommand(['up', ...flags, '--data', folder.path, '--json'])).code).toBe(64)
})

test('chat says at once that there is no persona, before anything is typed', async () => {
  await using folder = await temporaryFolder()
  await runCommand(['init', '--data', folder.path])
  expect(await runCommand(['chat', '--data', folder.path, '--json'])).toMatchObject({
    code: 1,
    json: { error: { code: 'not-found', message: expect.stringContaining('lora-mesh request') } },
  })
})

test('commands at once without a daemon wait for each other', async () => {
  await using folder = await temporaryFolder()
  await runCommand(['init', '--data', folder.path])
  const words = [['ls'], ['jobs'], ['community', 'create', 'kitchen'], ['base', 'list'], ['verify'], ['peers']]
  const results = await Promise.all(words.map((word) => runCommand([...word, '--data', folder.path, '--json'])))
  expect(results.map(({ code, json }) => [code, json?.['error']])).toEqual(words.map(() => [0, undefined]))
  const { json } = await runCommand(['community', 'list', '--data', folder.path, '--json'])
  expect(json).toMatchObject({ communities: [{ name: 'kitchen' }] })
}, 120_000)

test('a request without a subject is told so', async () => {
  const { code, json } = await runCommand(['request', '  ', '--json'])
  expect({ code, json }).toMatchObject({ code: 64, json: { error: { code: 'usage' } } })
})

test.skipIf(!existsSync('/dev/full'))('a result that could not be written is not called done', async () => {
  const full = openSync('/dev/full', 'w')
  try {
    const child = spawn(process.execPath, [main, '--help'], { stdio: ['ignore', full, 'pipe'] })
    const closed = once(child, 'close')
    let complaint = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    expect(await closed).toEqual([1, null])
    expect(complaint).toBe(
      'lora-mesh: The disk is full, standard output was not written: free some space, then try again.\n',
    )
  } finally {
    closeSync(full)
  }
})

function up(data: string): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [main, 'up', '--json', '--port', '0', '--data', data], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function firstLine(output: Readable): Promise<Record<string, unknown>> {
  for await (const line of createInterface({ input: output })) {
    return JSON.parse(line) as Record<string, unknown>
  }
  throw new Error('the process printed nothing')
}
