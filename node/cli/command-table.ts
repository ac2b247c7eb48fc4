// All commands, in the order of the help. A later part adds a row here and a file in commands/.
import type { Command } from './command.ts'
import type { CommandGroup } from './help.ts'
import { bakeCommand } from './commands/bake.ts'
import { baseCommands } from './commands/base.ts'
import { chatCommand } from './commands/chat.ts'
import { communityCommands } from './commands/community.ts'
import { doctorCommand } from './commands/doctor.ts'
import { evalCommand } from './commands/eval.ts'
import { importCommand } from './commands/import.ts'
import { initCommand } from './commands/init.ts'
import { inspectCommand } from './commands/inspect.ts'
import { jobsCommand } from './commands/jobs.ts'
import { lockCommand } from './commands/lock.ts'
import { lsCommand } from './commands/ls.ts'
import { nllCommand } from './commands/nll.ts'
import { peersCommand } from './commands/peers.ts'
import { planCommand } from './commands/plan.ts'
import { publishCommand } from './commands/publish.ts'
import { requestCommand } from './commands/request.ts'
import { seedCommand } from './commands/seed.ts'
import { trainCommand } from './commands/train.ts'
import { upCommand } from './commands/up.ts'
import { verifyCommand } from './commands/verify.ts'
import { whyCommand } from './commands/why.ts'

const table: readonly (readonly [group: string, members: readonly Command[]])[] = [
  ['Start', [initCommand, ...baseCommands, upCommand]],
  ['Communities', communityCommands],
  ['Personas', [requestCommand, chatCommand, planCommand, lsCommand, whyCommand, lockCommand]],
  ['Sharing', [publishCommand, seedCommand, jobsCommand, peersCommand]],
  ['Care', [verifyCommand, doctorCommand]],
  ['Model files (need no node)', [inspectCommand, importCommand, trainCommand, bakeCommand, nllCommand, evalCommand]],
]

export const commands: readonly Command[] = table.flatMap(([, members]) => members)

export const commandGroups: readonly CommandGroup[] = table.map(([title, members]) => ({
  title,
  names: members.map(({ name }) => name),
}))
