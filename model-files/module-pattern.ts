// Keys of PEFT's `rank_pattern` and `alpha_pattern`: regular expressions that must match the END of a module name, `(.*\.)?(KEY)$`.
// They come from strangers, and a backtracking engine can be made to hang. So the common part of the syntax is compiled to a small
// automaton that is simulated without backtracking: time is at most name length x automaton size per attempt, and a budget bounds the sum.
// Syntax outside that part is refused by name; a refused adapter is better than one read differently from how it was trained.
import { MeshError } from '../protocol/index.ts'

/** Simulation steps that all matches of one config may take together; a real config needs a few million. */
export interface StepBudget {
  left: number
}

export interface ModulePattern {
  /** Whether the pattern matches the end of `name`, starting at its beginning or after one of its dots. */
  matchesEndOf(name: string, budget: StepBudget): boolean
}

const maxPatternChars = 512
const maxProgramSteps = 2_048
const maxRepeat = 100

type CharTest = (character: string) => boolean

type Node =
  | { readonly kind: 'char'; readonly test: CharTest }
  | { readonly kind: 'edge'; readonly at: 'start' | 'end' }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | { readonly kind: 'repeat'; readonly inner: Node; readonly min: number; readonly max: number }

type Instruction =
  | { readonly op: 'char'; readonly test: CharTest }
  | { readonly op: 'edge'; readonly at: 'start' | 'end' }
  | { readonly op: 'fork'; readonly targets: number[] }
  | { readonly op: 'match' }

/** Throws `peft-unsupported` for syntax that this module does not know or that grows too large. */
export function compileModulePattern(key: string): ModulePattern {
  if (key.length > maxPatternChars) refuse(key, `it is longer than ${maxPatternChars} characters`)
  const program = new Compiler(key).compile(new Parser(key).pattern())
  return { matchesEndOf: (name, budget) => startsOf(name).some((start) => simulate(program, name, start, budget)) }
}

function refuse(key: string, reason: string): never {
  throw new MeshError(
    'peft-unsupported',
    `A rank_pattern or alpha_pattern key of adapter_config.json can't be read safely: ${reason}. Write it with full module names.`,
    { field: 'pattern', key: key.slice(0, maxPatternChars) },
  )
}

function startsOf(name: string): number[] {
  const starts = [0]
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) starts.push(dot + 1)
  return starts
}

const isDigit: CharTest = (character) => character >= '0' && character <= '9'
const isWord: CharTest = (character) => /^\w$/.test(character)

class Parser {
  #at = 0
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  pattern(): Node {
    const node = this.#choice()
    if (this.#at < this.#key.length) refuse(this.#key, 'a closing parenthesis has no opening one')
    return node
  }

  #peek(): string {
    return this.#key[this.#at] ?? ''
  }

  #take(text: string): boolean {
    if (!this.#key.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  #choice(): Node {
    const options = [this.#sequence()]
    while (this.#take('|')) options.push(this.#sequence())
    return options.length === 1 ? options[0]! : { kind: 'choice', options }
  }

  #sequence(): Node {
    const items: Node[] = []
    while (this.#at < this.#key.length && this.#peek() !== '|' && this.#peek() !== ')') items.push(this.#repeated())
    return { kind: 'sequence', items }
  }

  #repeated(): Node {
    const inner = this.#atom()
    const range = this.#range()
    if (range === undefined) return inner
    // A lazy quantifier matches the same names; a possessive one, or a second quantifier, would not mean the same.
    this.#take('?')
    if ('*+?{'.includes(this.#peek() || 'end')) refuse(this.#key, 'a quantifier follows a quantifier')
    return { kind: 'repeat', inner, ...range }
  }

  #range(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Infinity }
    if (this.#take('+')) return { min: 1, max: Infinity }
    if (this.#take('?')) return { min: 0, max: 1 }
    if (this.#peek() !== '{') return undefined
    const counts = /^\{(\d{1,3})(,(\d{0,3}))?\}/.exec(this.#key.slice(this.#at))
    if (counts === null) refuse(this.#key, 'a brace is not a plain repeat count')
    const [whole, low, comma, high] = counts
    const min = Number(low)
    const max = comma === undefined ? min : high === '' ? Infinity : Number(high)
    if (max < min || min > maxRepeat || (max > maxRepeat && max !== Infinity)) {
      refuse(this.#key, `a repeat count is outside 0..${maxRepeat}`)
    }
    this.#at += whole.length
    return { min, max }
  }

  #atom(): Node {
    const character = this.#peek()
    if ('*+?{}]'.includes(character)) refuse(this.#key, `"${character}" stands where a name is expected`)
    this.#at++
    switch (character) {
      case '(':
        return this.#group()
      case '[':
        return { kind: 'char', test: this.#charClass() }
      case '.':
        return { kind: 'char', test: () => true }
      case '^':
        return { kind: 'edge', at: 'start' }
      case '$':
        return { kind: 'edge', at: 'end' }
      case '\\':
        return { kind: 'char', test: this.#escape() }
      default:
        return { kind: 'char', test: (other) => other === character }
    }
  }

  #group(): Node {
    if (!this.#take('?:') && this.#peek() === '?')
      refuse(this.#key, 'only plain groups are known, no look-around or flags')
    const inner = this.#choice()
    if (!this.#take(')')) refuse(this.#key, 'a group does not end')
    return inner
  }

  #escape(): CharTest {
    const character = this.#peek()
    this.#at++
    if (character === 'd') return isDigit
    if (character === 'w') return isWord
    if (character === '' || /[A-Za-z0-9]/.test(character)) refuse(this.#key, `the escape \\${character} is not known`)
    return (other) => other === character
  }

  #charClass(): CharTest {
    const negated = this.#take('^')
    const tests: CharTest[] = []
    do tests.push(this.#classItem())
    while (!this.#take(']'))
    return (character) => tests.some((test) => test(character)) !== negated
  }

  #classItem(): CharTest {
    const low = this.#classCharacter()
    if (typeof low === 'function') return low
    if (this.#peek() !== '-' || this.#key[this.#at + 1] === ']') return (character) => character === low
    this.#at++
    const high = this.#classCharacter()
    if (typeof high === 'function' || high < low) refuse(this.#key, 'a character range is not one')
    return (character) => character >= low && character <= high
  }

  #classCharacter(): string | CharTest {
    const character = this.#peek()
    if (character === '' || character === '[') refuse(this.#key, 'a character class does not end, or nests')
    this.#at++
    if (character !== '\\') return character
    const escaped = this.#peek()
    const test = this.#escape()
    return test === isDigit || test === isWord ? test : escaped
  }
}

/** Thompson's construction: every node becomes a run of instructions that ends where the next one starts. */
class Compiler {
  #steps = 0
  readonly #program: Instruction[] = []
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  compile(node: Node): readonly Instruction[] {
    this.#emit(node)
    this.#program.push({ op: 'match' })
    return this.#program
  }

  #emit(node: Node): void {
    if (++this.#steps > maxProgramSteps) refuse(this.#key, 'it is too large')
    switch (node.kind) {
      case 'char':
        this.#program.push({ op: 'char', test: node.test })
        break
      case 'edge':
        this.#program.push({ op: 'edge', at: node.at })
        break
      case 'sequence':
        for (const item of node.items) this.#emit(item)
        break
      case 'choice':
        this.#emitChoice(node.options)
        break
      case 'repeat':
        this.#emitRepeat(node.inner, node.min, node.max)
        break
    }
  }

  #fork(...targets: number[]): number[] {
    this.#program.push({ op: 'fork', targets })
    return targets
  }

  #emitChoice(options: readonly Node[]): void {
    const entries = this.#fork()
    const exits: number[][] = []
    for (const option of options) {
      entries.push(this.#program.length)
      this.#emit(option)
      exits.push(this.#fork())
    }
    for (const exit of exits) exit.push(this.#program.length)
  }

  #emitRepeat(inner: Node, min: number, max: number): void {
    for (let count = 0; count < min; count++) this.#emit(inner)
    if (max === Infinity) {
      const start = this.#program.length
      const entry = this.#fork(start + 1)
      this.#emit(inner)
      this.#fork(start)
      entry.push(this.#program.length)
      return
    }
    const skips: number[][] = []
    for (let count = min; count < max; count++) {
      skips.push(this.#fork(this.#program.length + 1))
      this.#emit(inner)
    }
    for (const skip of skips) skip.push(this.#program.length)
  }
}

/** Runs all alternatives side by side; true if some path consumes exactly `name` from `start` to its end. */
function simulate(program: readonly Instruction[], name: string, start: number, budget: StepBudget): boolean {
  let waiting = reachable(program, [0], name, start, budget)
  for (let at = start; at < name.length && waiting.length > 0; at++) {
    const next: number[] = []
    for (const index of waiting) {
      const instruction = program[index]!
      if (instruction.op === 'char' && instruction.test(name[at]!)) next.push(index + 1)
    }
    waiting = reachable(program, next, name, at + 1, budget)
  }
  return waiting.some((index) => program[index]!.op === 'match')
}

/** Follows forks and edges from the given instructions; what remains are the ones that want a character, or that match at the very end. */
function reachable(
  program: readonly Instruction[],
  from: readonly number[],
  name: string,
  at: number,
  budget: StepBudget,
): number[] {
  const seen = new Set<number>()
  const open = [...from]
  const waiting: number[] = []
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (seen.has(index)) continue
    seen.add(index)
    if (--budget.left < 0) {
      throw new MeshError(
        'peft-unsupported',
        'The patterns of adapter_config.json take too long to match. Write them with full module names.',
        {
          field: 'pattern',
        },
      )
    }
    const instruction = program[index]!
    if (instruction.op === 'fork') open.push(...instruction.targets)
    else if (instruction.op === 'edge') {
      if (at === (instruction.at === 'start' ? 0 : name.length)) open.push(index + 1)
    } else if (instruction.op === 'char' || at === name.length) waiting.push(index)
  }
  return waiting
}
