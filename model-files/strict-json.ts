// JSON from strangers, read more strictly than JSON.parse does: duplicate keys, deep nesting and endless lists are refused, and objects
// become Maps, so that a key such as `__proto__` is only a key. Numbers must be finite.

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export type JsonObject = ReadonlyMap<string, JsonValue>

export type JsonResult =
  | { readonly kind: 'ok'; readonly value: JsonValue }
  | { readonly kind: 'refused'; readonly reason: string }

export interface JsonBounds {
  readonly maxDepth: number
  /** Values of any kind, keys not counted. */
  readonly maxValues: number
}

/** Reads one JSON document (UTF-8, no byte-order mark; white space around it is allowed). Time and memory are linear in the bytes. */
export function parseStrictJson(bytes: Uint8Array, bounds: JsonBounds): JsonResult {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { kind: 'refused', reason: 'it is not valid UTF-8' }
  }
  try {
    return { kind: 'ok', value: new StrictReader(text, bounds).document() }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', reason: error.message }
    throw error
  }
}

class Refusal extends Error {}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** A run of characters that stand for themselves: no quote, backslash or control character. */
const plainStringPattern = /[ !#-[\]-\uffff]*/y
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}
const words: readonly (readonly [string, null | boolean])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
]

class StrictReader {
  #at = 0
  #values = 0
  readonly #text: string
  readonly #bounds: JsonBounds

  constructor(text: string, bounds: JsonBounds) {
    this.#text = text
    this.#bounds = bounds
  }

  document(): JsonValue {
    const value = this.#value(1)
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#refuse('something follows the end of the document')
    return value
  }

  #refuse(reason: string): never {
    throw new Refusal(`${reason} (character ${this.#at})`)
  }

  #skipSpace(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? 'end')) this.#at++
  }

  #take(character: string): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #value(depth: number): JsonValue {
    if (depth > this.#bounds.maxDepth) this.#refuse(`it is nested more than ${this.#bounds.maxDepth} deep`)
    if (++this.#values > this.#bounds.maxValues) this.#refuse(`it holds more than ${this.#bounds.maxValues} values`)
    if (this.#take('{')) return this.#object(depth)
    if (this.#take('[')) return this.#list(depth)
    if (this.#take('"')) return this.#string()
    for (const [word, value] of words) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length
        return value
      }
    }
    return this.#number()
  }

  #object(depth: number): JsonObject {
    const object = new Map<string, JsonValue>()
    if (this.#take('}')) return object
    do {
      if (!this.#take('"')) this.#refuse('a key in quotes is expected')
      const key = this.#string()
      if (object.has(key)) this.#refuse(`the key "${key.slice(0, 80)}" occurs twice`)
      if (!this.#take(':')) this.#refuse('a colon is expected')
      object.set(key, this.#value(depth + 1))
    } while (this.#take(','))
    if (!this.#take('}')) this.#refuse('a comma or the end of an object is expected')
    return object
  }

  #list(depth: number): readonly JsonValue[] {
    const list: JsonValue[] = []
    if (this.#take(']')) return list
    do list.push(this.#value(depth + 1))
    while (this.#take(','))
    if (!this.#take(']')) this.#refuse('a comma or the end of a list is expected')
    return list
  }

  /** The rest of a string after its opening quote. */
  #string(): string {
    const parts: string[] = []
    for (;;) {
      plainStringPattern.lastIndex = this.#at
      const plain = plainStringPattern.exec(this.#text)![0]
      parts.push(plain)
      this.#at += plain.length
      const next = this.#text[this.#at]
      if (next !== '"' && next !== '\\') this.#refuse('a string does not end')
      this.#at++
      if (next === '"') break
      parts.push(this.#escape())
    }
    const text = parts.join('')
    if (!text.isWellFormed()) this.#refuse('a string holds half of a surrogate pair')
    return text
  }

  #escape(): string {
    const kind = this.#text[this.#at++] ?? ''
    if (kind !== 'u') return escapes[kind] ?? this.#refuse('an unknown escape')
    const digits = this.#text.slice(this.#at, this.#at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#refuse('a \\u escape needs four hexadecimal digits')
    this.#at += 4
    return String.fromCharCode(Number.parseInt(digits, 16))
  }

  #number(): number {
    numberPattern.lastIndex = this.#at
    const digits = numberPattern.exec(this.#text)?.[0]
    if (digits === undefined) this.#refuse('a value is expected')
    const value = Number(digits)
    if (!Number.isFinite(value)) this.#refuse('a number is out of range')
    this.#at += digits.length
    return value
  }
}
