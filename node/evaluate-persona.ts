// Asks a persona of this node a suite of questions: what `eval --persona` does.
import { evaluateSuite, parseSuite } from '../assembler/index.ts'
import type { SuiteResult } from '../assembler/index.ts'
import { assemblePersona } from './assemble-persona.ts'
import type { Node } from './create-node.ts'
import type { CallContext } from './http/index.ts'

export interface PersonaEvaluation extends SuiteResult {
  readonly persona: string
}

export interface PersonaSuite {
  /** Undefined: the one made last. */
  readonly persona: string | undefined
  /** JSON lines of {"prompt", "answer"}. */
  readonly suite: string
}

/** Emits {type: 'asked', done, total}. Throws what finding and assembling the persona throw, and `bad-input` for a suite that is none. */
export async function evaluatePersona(
  node: Node,
  { persona: name, suite }: PersonaSuite,
  { signal, emit }: CallContext,
): Promise<PersonaEvaluation> {
  const items = parseSuite(suite)
  const persona = await node.personas.get(name)
  const { adapters, base } = await assemblePersona(node, persona, signal)
  const file = { path: base.path, sha256: base.file }
  const info = await node.engine.load(file, { signal })
  const result = await evaluateSuite(node.engine, info, adapters, items, {
    signal,
    forBase: file,
    onProgress: ({ done, total }) => emit({ type: 'asked', done, total }),
  })
  return { persona: persona.id, ...result }
}
