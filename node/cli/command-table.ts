// All commands, in the order of the help. A later part adds a row here and a file in commands/.
import type { Command } from './command.ts'
import type { CommandGroup } from './help.ts'
import { initCommand } from './commands/init.ts'
import { upCommand } from './commands/up.ts'

const table: readonly (readonly [group: string, members: readonly Command[]])[] = [['Start', [initCommand, upCommand]]]

export const commands: readonly Command[] = table.flatMap(([, members]) => members)

export const commandGroups: readonly CommandGroup[] = table.map(([title, members]) => ({
  title,
  names: members.map(({ name }) => name),
}))
