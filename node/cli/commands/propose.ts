// Proposals: one command per kind. What is proposed is decided by votes; see vote.ts.
import { z } from 'zod'
import { MeshError } from '../../../protocol/index.ts'
import { chooseCommunity, communityOption } from '../choose-community.ts'
import { command } from '../command.ts'
import type { Command, Invocation, Outcome } from '../command.ts'
import {
  actionText,
  countText,
  meaningText,
  proposalAnswer,
  shortId,
  stateText,
  warningText,
} from '../proposal-texts.ts'
import type { Proposal } from '../proposal-texts.ts'
import { parseRules, ruleOptions } from '../rule-options.ts'

const proposed = z.looseObject({
  state: z.enum(['said', 'pending']),
  message: z.string().optional(),
  proposal: proposalAnswer.optional(),
})

/** What every proposal takes beside what it is about. */
const shared = {
  ...communityOption,
  vote: { type: 'string', value: 'yes|no|abstain', summary: 'Also cast your own vote; without it you have not voted' },
} as const
const capabilityOption = {
  capability: { type: 'string', value: 'NAME', summary: "Whose channel (default: that of the release's name)" },
} as const
const reasonOption = {
  reason: { type: 'string', value: 'TEXT', summary: 'Why; shown to everybody' },
} as const

interface SharedOptions {
  readonly community: string | undefined
  readonly vote: string | undefined
}

const upgradeCommand = command({
  name: 'propose upgrade',
  summary: 'Propose that a name means this release from now on',
  description:
    'A release is NAME@VERSION, PUBLISHER/NAME@VERSION or the first digits of its id, of a member. It is compared with what the channel of its name holds; without a channel with the highest other version, or the bare base.\nWhat is not measured needs two thirds of yes; what measures worse is not accepted, whatever the votes.',
  positionals: 'RELEASE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { ...shared, ...reasonOption },
  examples: [
    'lora-mesh propose upgrade biology@1.8.0 --vote yes',
    'lora-mesh propose upgrade 8d1f0c5a77b2 --reason "knows the new names" --json',
  ],
  run: ({ positionals: [release], ...call }) => propose(call, { kind: 'upgrade', release }, call.options.reason),
})

const rollbackCommand = command({
  name: 'propose rollback',
  summary: 'Propose that a name means a release again that it meant before',
  description: 'Without VERSION: the one before the current one.',
  positionals: 'CAPABILITY [VERSION]',
  minPositionals: 1,
  maxPositionals: 2,
  options: {
    ...shared,
    ...reasonOption,
    base: { type: 'string', value: 'BASE', summary: 'By label or id, where there are channels for several bases' },
  },
  examples: ['lora-mesh propose rollback biology', 'lora-mesh propose rollback biology 1.6.0 --vote yes --json'],
  run: ({ positionals: [capability, version], ...call }) => {
    const { base, reason } = call.options
    return propose(call, { kind: 'rollback', capability, ...given({ version, base }) }, reason)
  },
})

const withdrawCommand = command({
  name: 'propose withdraw',
  summary: 'Propose that the community no longer offers a release',
  description:
    'A name that means it falls back to the highest of the others. Its publisher withdraws with `lora-mesh withdraw`.',
  positionals: 'RELEASE',
  minPositionals: 1,
  maxPositionals: 1,
  options: { ...shared, ...capabilityOption, ...reasonOption },
  examples: [
    'lora-mesh propose withdraw biology@1.8.0 --reason "gives wrong doses"',
    'lora-mesh propose withdraw 8d1f0c5a77b2 --reason "gives wrong doses" --vote yes --json',
  ],
  run: ({ positionals: [release], ...call }) => {
    const { capability, reason } = call.options
    return propose(call, { kind: 'withdraw', release, reason: required(reason), ...given({ capability }) })
  },
})

const suiteCommand = command({
  name: 'propose suite',
  summary: 'Propose the questions by which upgrades of a name are measured',
  description:
    'FILE holds JSON lines of {"prompt", "answer"}, at most 112 KiB. The questions are handed to the community, for good. Teachers and admins propose suites.',
  positionals: 'CAPABILITY FILE.jsonl',
  minPositionals: 2,
  maxPositionals: 2,
  options: { ...shared, ...reasonOption },
  examples: [
    'lora-mesh propose suite biology questions.jsonl',
    'lora-mesh propose suite law exam.jsonl --vote yes --json',
  ],
  async run({ positionals: [capability, path = ''], ...call }) {
    const { readTextFile } = await import('../../read-text-file.ts')
    return propose(call, { kind: 'suite', capability, questions: await readTextFile(path) }, call.options.reason)
  },
})

const admitCommand = command({
  name: 'propose admit',
  summary: 'Propose somebody as a member, or another role for a member',
  positionals: 'IDENTITY',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    ...shared,
    ...reasonOption,
    role: { type: 'string', value: 'ROLE', summary: 'admin, teacher or user (default user)' },
  },
  examples: [
    'lora-mesh propose admit 6ka7gatc365og5qkfrdrwx6jgo5maecqo6pu63aqa44ld3kesh4q --role teacher',
    'lora-mesh propose admit IDENTITY --role admin --vote yes --json',
  ],
  run: ({ positionals: [identity], ...call }) => {
    const { role = 'user', reason } = call.options
    if (!['admin', 'teacher', 'user'].includes(role)) {
      throw new MeshError('usage', `--role ${role}: write admin, teacher or user.`)
    }
    return propose(call, { kind: 'admit', identity, role }, reason)
  },
})

const removeCommand = command({
  name: 'propose remove',
  summary: 'Propose that somebody is no member any more',
  positionals: 'IDENTITY',
  minPositionals: 1,
  maxPositionals: 1,
  options: { ...shared, ...reasonOption },
  examples: [
    'lora-mesh propose remove 6ka7gatc --reason "the key was stolen"',
    'lora-mesh propose remove 6ka7gatc --reason "asked to be removed" --vote yes --json',
  ],
  run: ({ positionals: [identity], ...call }) =>
    propose(call, { kind: 'remove', identity, reason: required(call.options.reason) }),
})

const ruleCommand = command({
  name: 'propose rule',
  summary: 'Propose other rules of deciding; what is not named stays',
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: { ...shared, ...ruleOptions, ...reasonOption },
  examples: [
    'lora-mesh propose rule --quorum 30% --voting-period 2d',
    'lora-mesh propose rule --rule consensus --inviter-cap 3 --vote yes --json',
  ],
  run: (call) => {
    const rules = parseRules(call.options)
    if (Object.keys(rules).length === 0)
      throw new MeshError('usage', 'Say what to change: `lora-mesh propose rule --help`.')
    return propose(call, { kind: 'rule', ...rules }, call.options.reason)
  },
})

export const proposeCommands: readonly Command[] = [
  upgradeCommand,
  rollbackCommand,
  suiteCommand,
  admitCommand,
  removeCommand,
  ruleCommand,
  withdrawCommand,
]

/** `reason`: said as a comment; where it is part of the proposal it stands there. */
async function propose(
  { options, node, signal, terminal }: Omit<Invocation<SharedOptions>, 'positionals'>,
  proposal: object,
  reason?: string,
): Promise<Outcome> {
  const { vote } = options
  if (vote !== undefined && !['yes', 'no', 'abstain'].includes(vote)) {
    throw new MeshError('usage', `--vote ${vote}: write yes, no or abstain.`)
  }
  const client = await node()
  const path = `/v1/communities/${await chooseCommunity(client, options.community, signal)}/proposals`
  const result = proposed.parse(await client.call('POST', path, { proposal, ...given({ vote, reason }) }, { signal }))
  if (result.proposal === undefined) return { json: result, text: result.message ?? 'It waits for a peer.' }
  if (result.message !== undefined) terminal.say(result.message)
  return { json: result, text: proposedText(result.proposal) }
}

function proposedText(proposal: Proposal): string {
  const id = shortId(proposal.id)
  const [meaning, warning] = [meaningText(proposal), warningText(proposal)]
  return [
    `${id} ${actionText(proposal.action)}`,
    ...(meaning === undefined ? [] : [meaning]),
    ...(warning === undefined ? [] : [warning]),
    `Voting ends ${proposal.votingEnds}. ${countText(proposal)}: ${stateText(proposal)}`,
    ...(proposal.ownBallot === undefined ? [`You have not voted: lora-mesh vote ${id} yes`] : []),
  ].join('\n')
}

function given(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  )
}

function required(reason: string | undefined): string {
  if (reason !== undefined && reason !== '') return reason
  throw new MeshError('usage', 'Say --reason TEXT: everybody is shown it, and votes on it.')
}
