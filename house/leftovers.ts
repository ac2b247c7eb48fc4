// `node house/leftovers.ts FOLDER`: what a run that was started with TMPDIR and LORA_MESH_CI_RUN set to FOLDER has left behind:
// processes (a port is always held by one), temporary files, network namespaces. Exits 1 and names them if there are any.
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { root } from './source-tree.ts'

export interface FoundProcess {
  pid: number
  command: string
}

/**
 * Processes that carry the run's mark in their environment, or (children get a minimal environment) that work in, or were started
 * with a path of, this checkout or the run's folder. Those that are older than the starter of the run, and our own parents, don't count.
 */
export function findProcesses(folder: string, startedBy: number): FoundProcess[] {
  if (!existsSync('/proc/self/environ')) return []
  const since = startTimeOf(startedBy)
  const ours = ancestorsOf(process.pid)
  const found: FoundProcess[] = []
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const pid = Number(name)
    if (ours.has(pid)) continue
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      const environment = `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`
      const place = `${readlinkSync(`/proc/${pid}/cwd`)}/`
      const marked = environment.includes(`\0LORA_MESH_CI_RUN=${folder}\0`)
      const here = [root, `${folder}/`].some((path) => place.startsWith(path) || command.includes(path))
      if (command !== '' && startTimeOf(pid) >= since && (marked || here)) found.push({ pid, command })
    } catch {
      // It has ended meanwhile, or belongs to someone else.
    }
  }
  return found
}

/** In clock ticks since the machine started; field 22 of /proc/PID/stat, counted after the command in parentheses. */
function startTimeOf(pid: number): number {
  return Number(statOf(pid)[19])
}

function ancestorsOf(pid: number): Set<number> {
  const found = new Set<number>()
  for (let next = pid; next > 1; next = Number(statOf(next)[1])) found.add(next)
  return found
}

function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function findNamespaces(): string[] {
  return existsSync('/run/netns') ? readdirSync('/run/netns') : []
}

const [, script, folder] = process.argv
if (import.meta.filename === script && folder !== undefined) {
  // The shell that started the run is the grandparent: between it and us stands `timeout`.
  const starter = Number(statOf(process.ppid)[1])
  let processes = findProcesses(folder, starter)
  // A process that was told to stop may need a moment; one that wasn't stays.
  for (let tries = 0; tries < 50 && processes.length > 0; tries++) {
    await delay(100)
    processes = findProcesses(folder, starter)
  }
  const left = [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...readdirSync(folder).map((name) => `temporary ${name}`),
    ...findNamespaces().map((name) => `network namespace ${name}`),
  ]
  process.stdout.write(left.length === 0 ? 'Nothing was left behind.\n' : `Left behind:\n${left.join('\n')}\n`)
  if (left.length > 0) process.exitCode = 1
}
