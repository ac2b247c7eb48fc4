import { z } from 'zod'
import { MeshError, limits } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const withdrawn = z.looseObject({
  release: z.string(),
  releaseId: z.string(),
  reason: z.string(),
  state: z.enum(['withdrawn', 'pending']),
  message: z.string().optional(),
})

export const withdrawCommand = command({
  name: 'withdraw',
  summary: 'Withdraw a release of yours: new requests no longer pick it',
  description:
    "Lockfiles that name it still work; whoever uses one is shown the reason. It can't be taken back: publish a higher version instead.",
  positionals: 'NAME@VERSION',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    reason: {
      type: 'string',
      value: 'TEXT',
      summary: `Why, in a sentence of at most ${limits.reasonMaxChars} characters`,
    },
    yes: { type: 'boolean', summary: 'Do not ask on a terminal' },
  },
  examples: [
    'lora-mesh withdraw law@1.2.0 --reason "trained on the wrong edition; use 1.2.1"',
    'lora-mesh withdraw 8d1f0c5a77b2 --reason "gives wrong doses" --yes --json',
  ],
  async run({ positionals: [release = ''], options: { reason: given, yes }, node, signal, terminal }) {
    const reason = given ?? (await askReason(terminal, signal))
    if (terminal.interactive && !yes) {
      const answer = await terminal.ask(`Withdraw ${release} for good? Everybody sees: ${reason} [y/N] `, signal)
      if (!/^y(?:es)?$/i.test(answer?.trim() ?? '')) throw new MeshError('aborted', 'Nothing was withdrawn.')
    }
    const client = await node()
    const answer = await client.call('POST', '/v1/releases/withdrawal', { release, reason }, { signal })
    const result = withdrawn.parse(answer)
    const waiting =
      result.state === 'pending' ? `\nNot visible to others yet: ${result.message ?? 'it waits for a peer.'}` : ''
    return { json: result, text: `${result.release} is withdrawn: ${result.reason}${waiting}` }
  },
})

async function askReason(terminal: Terminal, signal: AbortSignal): Promise<string> {
  if (!terminal.interactive) throw new MeshError('usage', 'Say --reason TEXT: those who use the release are shown it.')
  for (;;) {
    const line = await terminal.ask('Why, in a sentence? Those who use the release are shown it: ', signal)
    if (line === undefined) throw new MeshError('aborted', 'Nothing was withdrawn.')
    if (line.trim() !== '') return line.trim()
  }
}
