// The questions of `publish` on a terminal: one per fact that the command line does not give, each with what is proposed as its answer.
import { existsSync } from 'node:fs'
import { z } from 'zod'
import { MeshError, manifestSchema } from '../../protocol/index.ts'
import { checkLicence } from '../licence.ts'
import { versionProblem } from '../next-version.ts'
import type { Terminal } from './terminal.ts'

export const proposalSchema = z.looseObject({
  base: z.object({ id: z.string(), label: z.string() }),
  name: z.string().optional(),
  version: z.object({ version: z.string(), step: z.string(), why: z.string() }).optional(),
  summary: z.string().optional(),
  licence: z.string(),
  capabilities: z.array(z.object({ name: z.string(), description: z.string() })),
  tags: z.array(z.string()),
  unknown: z.array(z.string()),
  published: z.array(z.string()),
  lookAlikes: z.array(z.object({ name: z.string(), why: z.string() })),
  notes: z.array(z.string()),
})
export type Proposal = z.infer<typeof proposalSchema>
export type Capabilities = Proposal['capabilities']

interface Question {
  readonly label: string
  readonly proposed: string | undefined
  /** Why an answer can't be taken, undefined if it can. */
  problem(answer: string): string | undefined
}

export interface Asker {
  /** Asks until the answer is one. Rejects with `aborted` at the end of input. */
  ask(question: Question): Promise<string>
  /** No is what Enter says. */
  confirm(question: string): Promise<boolean>
}

export function askerOn(terminal: Terminal, signal: AbortSignal): Asker {
  const lineOf = async (text: string): Promise<string> => {
    const line = await terminal.ask(text, signal)
    if (line === undefined) throw new MeshError('aborted', 'Nothing was published.')
    return line.trim()
  }
  return {
    async ask({ label, proposed, problem }) {
      for (;;) {
        const line = await lineOf(proposed === undefined ? `${label}: ` : `${label} [${proposed}]: `)
        const answer = line === '' ? (proposed ?? '') : line
        const wrong = problem(answer)
        if (wrong === undefined) return answer
        terminal.say(`  ${wrong}`)
      }
    },
    confirm: async (question) => /^y(?:es)?$/i.test(await lineOf(`${question} [y/N] `)),
  }
}

export function nameQuestion(proposed: string | undefined): Question {
  return { label: 'Name', proposed, problem: (answer) => schemaProblem('name', answer) }
}

export function versionQuestion({ version, published }: Proposal): Question {
  return {
    label: 'Version',
    proposed: version?.version,
    problem: (answer) => schemaProblem('version', answer) ?? versionProblem(published, answer),
  }
}

export function summaryQuestion(proposed: string | undefined): Question {
  return {
    label:
      proposed === undefined
        ? 'Summary, a sentence by which requests find it, such as "answers questions about cooking fish"'
        : 'Summary, a sentence by which requests find it',
    proposed,
    problem: (answer) => (answer === '' ? 'Say what it does.' : schemaProblem('summary', answer)),
  }
}

export function licenceQuestion(proposed: string): Question {
  return {
    label: 'Licence, SPDX',
    proposed,
    problem(answer) {
      const checked = checkLicence(answer)
      if (checked.kind !== 'malformed') return schemaProblem('licence', answer)
      return `That is no SPDX expression (${checked.reason}): write one such as MIT, Apache-2.0 or LicenseRef-my-own.`
    },
  }
}

export function capabilitiesQuestion(proposed: Capabilities): Question {
  return {
    label: 'Capabilities, NAME=TEXT; NAME=TEXT',
    proposed: proposed.length === 0 ? undefined : capabilitiesText(proposed),
    problem(answer) {
      const capabilities = parseCapabilities(answer)
      return capabilities === undefined ? 'Write NAME=TEXT.' : schemaProblem('capabilities', capabilities)
    },
  }
}

/** An empty answer is none. */
export function suiteQuestion(): Question {
  return {
    label: 'Suite, a file of questions with their answers to measure it by (Enter: none)',
    proposed: undefined,
    problem: (answer) => (answer === '' || existsSync(answer) ? undefined : 'There is no such file.'),
  }
}

export function probeQuestion(proposed: string | undefined): Question {
  return {
    label: 'File of questions, {"prompt", "answer"} per line; the first eight become public',
    proposed,
    problem: (answer) => (existsSync(answer) ? undefined : 'There is no such file.'),
  }
}

export function capabilitiesText(capabilities: Capabilities): string {
  return capabilities.map(({ name, description }) => `${name}=${description}`).join('; ')
}

/** Undefined where a part is no NAME=TEXT. A semicolon in a description goes on in it unless a NAME= follows. */
export function parseCapabilities(text: string): Capabilities | undefined {
  const parts = text.split(/;(?=\s*[a-z0-9._-]+=)/).map((part) => parseCapability(part))
  return parts.every((part) => part !== undefined) ? parts : undefined
}

export function parseCapability(text: string): Capabilities[number] | undefined {
  const at = text.indexOf('=')
  if (at < 1) return undefined
  return { name: text.slice(0, at).trim(), description: text.slice(at + 1).trim() }
}

function schemaProblem(field: 'name' | 'version' | 'summary' | 'licence' | 'capabilities', value: unknown) {
  const result = manifestSchema.shape[field].safeParse(value)
  if (result.success) return undefined
  const issue = result.error.issues[0]
  return `The ${field} ${issue?.message.startsWith('must') ? issue.message : `does not fit: ${issue?.message}`}.`
}
