// Reads TypeScript as text: which modules a file imports, and its code without comments and literals. TypeScript 7 has no
// compiler API, and the rules of the house need no syntax tree: a scanner that knows where comments, strings, templates and
// regular expressions begin and end is enough, and it errs on the side of seeing too much.

export interface Import {
  specifier: string
  /** 1-based */
  line: number
  typeOnly: boolean
}

export interface SourceText {
  /** Comments blanked, literals kept; same length and lines as the source. */
  withoutComments: string
  /** Comments and the insides of strings, templates and regular expressions blanked (`${…}` parts of templates are code). */
  codeOnly: string
}

// A slash begins a regular expression where an operand can't have ended just before it.
const endsOperand = /[\w$)\]}'"`]$/
const keywordBeforeExpression =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield|instanceof)$/

export function scanSource(source: string): SourceText {
  const withoutComments = source.split('')
  const codeOnly = [...withoutComments]
  const blank = (target: string[], from: number, to: number): void => {
    for (let i = from; i < to; i++) if (target[i] !== '\n') target[i] = ' '
  }
  /** For every `${` that is open: how many plain braces are open inside it. */
  const openTemplates: number[] = []
  let codeBefore = ''
  let at = 0

  const endOfQuoted = (start: number, quote: string): number => {
    let i = start + 1
    while (i < source.length && source[i] !== quote && source[i] !== '\n') i += source[i] === '\\' ? 2 : 1
    return Math.min(i, source.length)
  }
  const endOfRegExp = (start: number): number => {
    let inClass = false
    for (let i = start + 1; i < source.length && source[i] !== '\n'; i++) {
      if (source[i] === '\\') i++
      else if (source[i] === '[') inClass = true
      else if (source[i] === ']') inClass = false
      else if (source[i] === '/' && !inClass) return i
    }
    return start // no end on this line: it was a division after all
  }
  /** Blanks template text from `start` up to its closing backtick or next `${`, and returns the index after that. */
  const skipTemplateText = (start: number): number => {
    let i = start
    while (i < source.length && source[i] !== '`' && !source.startsWith('${', i)) i += source[i] === '\\' ? 2 : 1
    blank(codeOnly, start, Math.min(i, source.length))
    if (source[i] === '`') return i + 1
    if (i >= source.length) return source.length
    openTemplates.push(0)
    return i + 2
  }

  while (at < source.length) {
    const char = source[at] as string
    const two = source.slice(at, at + 2)
    if (two === '//' || two === '/*' || (at === 0 && two === '#!')) {
      const close = two === '/*' ? source.indexOf('*/', at + 2) + 2 : source.indexOf('\n', at)
      const end = close < at + 2 ? source.length : close
      blank(withoutComments, at, end)
      blank(codeOnly, at, end)
      at = end
      continue
    }
    if (char === "'" || char === '"') {
      const end = endOfQuoted(at, char)
      blank(codeOnly, at + 1, end)
      at = end + 1
    } else if (char === '`') {
      at = skipTemplateText(at + 1)
    } else if (char === '/' && (!endsOperand.test(codeBefore) || keywordBeforeExpression.test(codeBefore))) {
      const end = endOfRegExp(at)
      blank(codeOnly, at + 1, end)
      at = end + 1
    } else if (char === '}' && openTemplates.at(-1) === 0) {
      openTemplates.pop()
      at = skipTemplateText(at + 1)
    } else {
      if (openTemplates.length > 0 && (char === '{' || char === '}')) {
        openTemplates.push((openTemplates.pop() as number) + (char === '{' ? 1 : -1))
      }
      at++
      if (/\s/.test(char)) continue
      codeBefore = /[\w$]/.test(char) && /\s/.test(source[at - 2] ?? ' ') ? char : (codeBefore + char).slice(-12)
      continue
    }
    codeBefore = char === '/' ? ')' : char // a literal is an operand
  }
  return { withoutComments: withoutComments.join(''), codeOnly: codeOnly.join('') }
}

// `import … from 'x'`, `export … from 'x'`, `import 'x'`, `import('x')` (types included), `require('x')`.
const importForms =
  /(?:^|[\s;}])(?:import|export)\s+(type\s+)?(?:[\w$*{}\s,]+?\sfrom\s*|(?:[\w$*{}\s,]*\}\s*from\s*))(['"])([^'"\n]+)\2|(?:^|[\s;}])import\s*(['"])([^'"\n]+)\4|\b(?:import|require)\s*\(\s*(['"`])([^'"`\n]+)\6/g

export function importsOf(source: string): Import[] {
  const { withoutComments, codeOnly } = scanSource(source)
  const found: Import[] = []
  for (const match of withoutComments.matchAll(importForms)) {
    const keyword = match.index + match[0].search(/import|export|require/)
    if (codeOnly[keyword] === ' ') continue // the words stand inside a string
    found.push({
      specifier: (match[3] ?? match[5] ?? match[7]) as string,
      line: withoutComments.slice(0, keyword).split('\n').length,
      typeOnly: match[1] !== undefined,
    })
  }
  return found
}

/** How many lines of comment the file opens with (a `#!` line and blank lines before them don't count). */
export function openingCommentLines(source: string): number {
  const lines = source.replace(/^#!.*\n/, '').split('\n')
  const first = lines.findIndex((line) => line.trim() !== '')
  let count = 0
  let inBlock = false
  for (const line of lines.slice(Math.max(first, 0))) {
    const text = line.trim()
    if (inBlock) inBlock = !text.includes('*/')
    else if (text.startsWith('/*')) inBlock = !text.includes('*/')
    else if (!text.startsWith('//')) break
    if (/\w/.test(text)) count++
  }
  return count
}
