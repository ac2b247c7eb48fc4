// Ends a test run with what a person wants to know: what was left out on this machine and why, and the count in one plain line.
// A test says why it may be left out in the last parenthesis of its name or of a group around it: `… (needs the kit)`.
import { writeFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** If set, the file that gets `PASSED FAILED` of the run: continuous integration adds its own steps to them. */
const countsFile = process.env['LORA_MESH_TEST_COUNTS']

export default class ClosingLines implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const passed = tests.filter((test) => test.result().state === 'passed').length
    // A file that doesn't load, or a group whose hook fails, has failed without a failing test.
    const broken = modules.filter((module) => module.state() === 'failed' && !has(module, 'failed')).length
    const failed = tests.filter((test) => test.result().state === 'failed').length + broken + unhandledErrors.length
    for (const line of leftOutLines(tests.filter((test) => test.result().state === 'skipped'))) print(line)
    print(`${passed} passed, ${failed} failed`)
    if (countsFile !== undefined) writeFileSync(countsFile, `${passed} ${failed}\n`)
  }
}

function has(module: TestModule, state: 'failed'): boolean {
  return [...module.children.allTests(state)].length > 0
}

function leftOutLines(skipped: readonly TestCase[]): string[] {
  const byReason = Map.groupBy(skipped, (test) => /\((needs [^()]+)\)/.exec(test.fullName)?.[1] ?? 'no reason given')
  return [...byReason].map(([reason, tests]) => {
    const files = [...new Set(tests.map((test) => test.module.relativeModuleId))].toSorted()
    return `Not run here (${reason}): ${tests.length} ${tests.length === 1 ? 'test' : 'tests'} in ${files.join(', ')}`
  })
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
