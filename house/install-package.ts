// `npm run test:pack`: packs the package, installs it into an empty folder as a user would, and uses it there: program, native
// libraries and child processes. Takes half a minute and 1.5 GB of disk, so it is not part of `npm test`; `.ci/run` runs it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { kit } from '../testing/kit.ts'
import { environmentForNpm, packCopy } from './pack-copy.ts'
import { runProgram } from './run-program.ts'
import { readPackageJson } from './source-tree.ts'

const { name, version } = readPackageJson()
const folder = mkdtempSync(join(tmpdir(), 'lora-mesh-install-'))
try {
  process.exitCode = await installAndUse()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The exit code of this script. */
async function installAndUse(): Promise<number> {
  const tarball = await packCopy(folder)
  const target = join(folder, 'empty')
  mkdirSync(target)
  // This Node (24, from the clone's node_modules) first on the PATH, as the package asks of its users.
  const env = { ...environmentForNpm(), PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) }
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--prefer-offline']
  // No library needs its install script, and one (of ip-set) ends every install with an error.
  const install = await runProgram('npm', ['install', '--ignore-scripts', ...quiet, tarball], {
    cwd: target,
    env,
    timeoutMs: 480_000,
  })
  if (install.code !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ENOTCACHED/.test(install.stderr)) {
    say('The packed package was not installed: no package registry can be reached from here.')
    return process.env['CI'] === 'true' ? 1 : 0
  }
  if (install.code !== 0) {
    say(`npm install of the packed package ended with ${install.code}:\n${install.stderr}`)
    return 1
  }
  const program = join(target, 'node_modules/.bin', name)
  const data = join(folder, 'data')
  const text = join(folder, 'text.txt')
  writeFileSync(text, 'Once upon a time there was a little girl.')
  const uses: [args: string[], expected: RegExp][] = [
    [['--version'], new RegExp(version.replaceAll('.', '\\.'))],
    [['--help'], /Usage: lora-mesh/],
    [['init', '--data', data, '--json'], /"identity":\s*"[a-z2-7]{52}"/],
  ]
  if (kit.present) {
    const base = kit.path('models/stories260K.gguf')
    uses.push([['inspect', base, '--json'], /"ok":\s*true/])
    uses.push([['nll', '--base', base, '--text', text, '--json'], /"meanNll":\s*\d/])
  }
  let failed = 0
  for (const [args, expected] of uses) {
    const run = await runProgram(program, args, { cwd: folder, env })
    if (run.code === 0 && expected.test(run.stdout)) continue
    failed++
    say(`The installed ${name} ${args.join(' ')} ended with ${run.code ?? run.signal}:\n${run.stdout}\n${run.stderr}`)
  }
  if (!kit.present)
    say('inspect and nll were not tried on the installed package: the kit at ../shared/kit is not here.')
  if (failed === 0) say(`The packed package was installed into an empty folder and did ${uses.length} things right.`)
  return failed === 0 ? 0 : 1
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`)
}
