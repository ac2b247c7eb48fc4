import { describe, expect, test } from 'vitest'
import { shippedFolders } from './check-layers.ts'
import { runProgram } from './run-program.ts'
import { listFiles, root } from './source-tree.ts'

// vitest transforms syntax that Node refuses to strip. What a user starts is therefore started once by plain Node, and in a
// process with a small environment: nothing of the test runner's leaks in.
const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
const run = (args: string[]) => runProgram(process.execPath, args, { cwd: root, env })

const files = listFiles()

describe('plain Node', () => {
  test('imports every folder, and none of them starts anything', async () => {
    const indexes = shippedFolders.map((folder) => `${folder}/index.ts`).filter((path) => files.includes(path))
    expect(indexes.length).toBeGreaterThan(1)
    const script = `for (const path of ${JSON.stringify(indexes)}) await import('./' + path)`
    expect(await run(['--input-type=module', '--eval', script])).toEqual({
      code: 0,
      signal: null,
      stdout: '',
      stderr: '',
    })
  })

  test('runs the command line', async () => {
    const help = await run(['node/cli/main.ts', '--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toContain('Usage: lora-mesh')
    expect(await run(['node/cli/main.ts', '--version'])).toMatchObject({ code: 0, stderr: '' })
  })

  const children = files.filter((path) => /^\w[\w-]*\/[\w-]+-child\/main\.ts$/.test(path))
  test.each(children)('starts %s, which says that it is a child process and ends', async (path) => {
    const { code, signal, stdout, stderr } = await run([path])
    expect([signal, stdout]).toEqual([null, ''])
    expect(code).not.toBe(0)
    expect(stderr).toContain('entry point of a child process')
  })
})
