// All commands, in the order of the help. A later part adds a row here and a file in commands/.
import type { Command } from './command.ts'
import type { CommandGroup } from './help.ts'
import { auditCommand } from './commands/audit.ts'
import { bakeCommand } from './commands/bake.ts'
import { baseCommands } from './commands/base.ts'
import { channelsCommand } from './commands/channels.ts'
import { chatCommand } from './commands/chat.ts'
import { communityCommands } from './commands/community.ts'
import { diffCommand } from './commands/diff.ts'
import { doctorCommand } from './commands/doctor.ts'
import { evalCommand } from './commands/eval.ts'
import { exportCommand } from './commands/export.ts'
import { importCommand } from './commands/import.ts'
import { initCommand } from './commands/init.ts'
import { inspectCommand } from './commands/inspect.ts'
import { jobsCommand } from './commands/jobs.ts'
import { lockCommand } from './commands/lock.ts'
import { logCommands } from './commands/log.ts'
import { lsCommand } from './commands/ls.ts'
import { nllCommand } from './commands/nll.ts'
import { openCommand } from './commands/open.ts'
import { outdatedCommand } from './commands/outdated.ts'
import { peersCommands } from './commands/peers.ts'
import { planCommand } from './commands/plan.ts'
import { proposalsCommand } from './commands/proposals.ts'
import { proposeCommands } from './commands/propose.ts'
import { publishCommand } from './commands/publish.ts'
import { requestCommand } from './commands/request.ts'
import { seedCommand } from './commands/seed.ts'
import { shareCommand } from './commands/share.ts'
import { tallyCommand } from './commands/tally.ts'
import { trainCommand } from './commands/train.ts'
import { upCommand } from './commands/up.ts'
import { updateCommand } from './commands/update.ts'
import { verifyCommand } from './commands/verify.ts'
import { voteCommand } from './commands/vote.ts'
import { whyCommand } from './commands/why.ts'
import { withdrawCommand } from './commands/withdraw.ts'

const table: readonly (readonly [group: string, members: readonly Command[]])[] = [
  ['Start', [initCommand, ...baseCommands, upCommand]],
  ['Communities', communityCommands],
  ['Government', [...proposeCommands, proposalsCommand, voteCommand, tallyCommand, channelsCommand, ...logCommands]],
  ['Personas', [requestCommand, chatCommand, planCommand, lsCommand, whyCommand, lockCommand, diffCommand]],
  ['Sharing', [shareCommand, openCommand, publishCommand, withdrawCommand, seedCommand, jobsCommand, ...peersCommands]],
  ['Care', [outdatedCommand, updateCommand, verifyCommand, auditCommand, doctorCommand]],
  [
    'Model files (need no node)',
    [inspectCommand, importCommand, exportCommand, trainCommand, bakeCommand, nllCommand, evalCommand],
  ],
]

export const commands: readonly Command[] = table.flatMap(([, members]) => members)

export const commandGroups: readonly CommandGroup[] = table.map(([title, members]) => ({
  title,
  names: members.map(({ name }) => name),
}))
