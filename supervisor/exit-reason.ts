// Turns how a process ended, and what it last wrote to standard error, into one short sentence part without anybody's folders in it.

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** Why we ended it ourselves (no heartbeat, restart), if we did. */
  readonly endedBecause?: string
  /** The line of standard error that says most, at most 200 characters. */
  readonly lastWords: string
}

const maxWords = 200

/** "exited with code 1 (Error: no such option)", "was ended by SIGABRT (gguf.cpp:123: GGML_ASSERT(...) failed)". */
export function describeExit(exit: Exit): string {
  const how =
    exit.endedBecause ??
    (exit.signal === null ? `exited with code ${exit.code ?? 'unknown'}` : `was ended by ${exit.signal}`)
  return exit.lastWords === '' ? how : `${how} (${exit.lastWords})`
}

/** Native assertions are followed by a backtrace and thrown errors by a stack, so the last line is seldom the one that tells. */
export function lastWordsOf(standardError: string): string {
  const lines = standardError
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const telling = lines.findLast((line) => /ASSERT|Error:|error:|fatal|terminate called/i.test(line))
  return withoutFolders(telling ?? lines.at(-1) ?? '').slice(0, maxWords)
}

/** Keeps the file name of every absolute path. */
export function withoutFolders(text: string): string {
  return text.replaceAll(/(?:file:\/\/)?(?:[A-Za-z]:)?(?:[\\/][^\s\\/:'"]+)+[\\/]([^\s\\/:'"]+)/g, '$1')
}
