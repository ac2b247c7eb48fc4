// The front matter of a model card: the lines between two `---` at the top of a README.md, in the part of YAML that such cards are written
// in. Texts and lists of texts are read; whatever is nested deeper is passed over. Never throws: a card is a hint, not a contract.

export interface FrontMatter {
  /** Key -> its text, or its list of texts. */
  readonly fields: ReadonlyMap<string, readonly string[]>
  /** What stands below it. */
  readonly body: string
}

export function readFrontMatter(text: string): FrontMatter {
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const end = lines[0]?.trimEnd() === '---' ? lines.findIndex((line, i) => i > 0 && line.trimEnd() === '---') : -1
  if (end < 0) return { fields: new Map(), body: lines.join('\n') }
  return { fields: readFields(lines.slice(1, end)), body: lines.slice(end + 1).join('\n') }
}

function readFields(lines: readonly string[]): Map<string, string[]> {
  const fields = new Map<string, string[]>()
  let list: string[] | undefined
  for (const line of lines) {
    const pair = /^([A-Za-z0-9_-]+):(?:\s+(.*))?$/.exec(line)
    const item = /^\s*-\s+(.*)$/.exec(line)
    if (pair !== null) {
      list = valuesOf(pair[2] ?? '')
      fields.set(pair[1]!, list)
    } else if (item !== null) list?.push(scalar(item[1]!))
  }
  return fields
}

/** A list in one line, or one text. Block texts (`|`, `>`) go on in lines that are passed over, so they count as absent. */
function valuesOf(value: string): string[] {
  const list = /^\[(.*)\]\s*(?:#.*)?$/.exec(value.trim())
  if (list !== null)
    return list[1]!
      .split(',')
      .map(scalar)
      .filter((text) => text !== '')
  const text = scalar(value)
  return text === '' || /^[|>{&*]/.test(text) ? [] : [text]
}

/** Without quotes and without a comment. */
function scalar(value: string): string {
  const quoted = /^\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')/.exec(value)
  if (quoted !== null) return quoted[1]?.replace(/\\(.)/g, '$1') ?? quoted[2]!.replaceAll("''", "'")
  return value.replace(/(?:^|\s)#.*$/, '').trim()
}
