// Names that can be taken for another one: by their letters, their case, their separators, the order of their words, or a slip of the
// finger. A warning for people and no verdict: genuine names are alike too.

/** Why a name can be taken for another, the first that is true in this order. */
export type Likeness = 'case' | 'separator' | 'confusable' | 'word order' | 'one edit away' | 'two edits away'

export interface LookAlike {
  readonly name: string
  readonly why: Likeness
}

export interface LookAlikeIndex {
  /** Known names that `name` can be taken for, the most alike first, then by text; never the name itself. */
  of(name: string): LookAlike[]
}

/** Names from this length on are alike at two edits, and from the other on at one; a name of two letters is one edit from too many. */
const twoEditsFromLength = 8
const oneEditFromLength = 3

const order: readonly Likeness[] = ['case', 'separator', 'confusable', 'word order', 'one edit away', 'two edits away']

export function lookAlikes(name: string, known: Iterable<string>): LookAlike[] {
  return indexLookAlikes(known).of(name)
}

/** For several questions about the same names: their forms are made once. */
export function indexLookAlikes(known: Iterable<string>): LookAlikeIndex {
  const all = Array.from(new Set(known), formsOf)
  return {
    of(name) {
      const forms = formsOf(name)
      const found: LookAlike[] = []
      for (const other of all) {
        const why = name === other.name ? undefined : likeness(forms, other)
        if (why !== undefined) found.push({ name: other.name, why })
      }
      return found.toSorted((a, b) => order.indexOf(a.why) - order.indexOf(b.why) || (a.name < b.name ? -1 : 1))
    },
  }
}

interface Forms {
  readonly name: string
  readonly lower: string
  /** `lower` without separators. */
  readonly joined: string
  /** What the letters look like. */
  readonly skeleton: string
  /** The characters of `joined` and of `skeleton` as bits: alike words have few that the other has not. */
  readonly letters: number
  readonly skeletonLetters: number
}

function formsOf(name: string): Forms {
  const normal = isAscii(name) ? name : name.normalize('NFKC')
  const lower = normal.toLowerCase()
  const joined = isAscii(lower) ? lower.replace(/[^a-z0-9]+/g, '') : lower.split(separators).join('')
  // Most names are small letters and hyphens, which stand for themselves.
  const skeleton = contracted(/^[a-z_.-]*$/.test(normal) ? joined : drawnLetters(normal))
  return { name, lower, joined, skeleton, letters: lettersOf(joined), skeletonLetters: lettersOf(skeleton) }
}

function likeness(a: Forms, b: Forms): Likeness | undefined {
  if (a.lower === b.lower) return 'case'
  if (a.joined === b.joined) return 'separator'
  if (a.skeleton === b.skeleton) return 'confusable'
  if (a.letters === b.letters && a.joined.length === b.joined.length && sortedWords(a) === sortedWords(b))
    return 'word order'
  const edits = Math.min(
    editsWithin(a.joined, a.letters, b.joined, b.letters),
    editsWithin(a.skeleton, a.skeletonLetters, b.skeleton, b.skeletonLetters),
  )
  if (edits === Infinity || isSeries(a.joined, b.joined)) return undefined
  return edits === 1 ? 'one edit away' : 'two edits away'
}

function sortedWords({ lower }: Forms): string {
  return lower.split(separators).toSorted().join(' ')
}

/** Names that differ in their numbers only, `part-2` and `part-3`: they count something, and nobody takes one for the other. */
function isSeries(a: string, b: string): boolean {
  const numbers = /\p{Nd}+/gu
  return a.replace(numbers, '0') === b.replace(numbers, '0')
}

/** Edits between the two if there are few enough for their length, or more. */
function editsWithin(a: string, lettersOfA: number, b: string, lettersOfB: number): number {
  const length = Math.min(a.length, b.length)
  const most = length >= twoEditsFromLength ? 2 : length >= oneEditFromLength ? 1 : 0
  // An edit takes away at most one character and brings at most one.
  if (Math.abs(a.length - b.length) > most) return Infinity
  if (bitCount(lettersOfA & ~lettersOfB) > most || bitCount(lettersOfB & ~lettersOfA) > most) return Infinity
  return editDistance(a, b, most)
}

/**
 * Insertions, deletions, substitutions and swaps of neighbours that turn one text into the other, no place touched twice (the restricted
 * Damerau-Levenshtein distance); Infinity if there are more than `most`.
 */
export function editDistance(a: string, b: string, most: number): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, before[j - 2]! + 1)
      row.push(edits)
      least = Math.min(least, edits)
    }
    if (least > most) return Infinity
    before = last
    last = row
  }
  return last[b.length]! <= most ? last[b.length]! : Infinity
}

function lettersOf(text: string): number {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits |= 1 << (text.charCodeAt(i) & 31)
  return bits
}

function bitCount(bits: number): number {
  let count = 0
  for (let left = bits; left !== 0; left &= left - 1) count++
  return count
}

const separators = /[^\p{L}\p{N}]+/u

/** Each character as the ASCII letter it is drawn like, without marks and separators. */
function drawnLetters(normal: string): string {
  const base = isAscii(normal) ? normal : normal.normalize('NFKD')
  let letters = ''
  for (const char of base) letters += drawnAs.get(char) ?? drawnOtherwise(char)
  return letters
}

/** Letters as they look from afar. */
function contracted(letters: string): string {
  return letters.replace(/rn|vv|cl/g, (pair) => (pair === 'rn' ? 'm' : pair === 'vv' ? 'w' : 'd')).replaceAll('i', 'l')
}

function drawnOtherwise(char: string): string {
  const small = char.toLowerCase()
  return drawnAs.get(small) ?? small.replace(separators, '')
}

function isAscii(text: string): boolean {
  return /^[ -~]*$/.test(text)
}

// The first character of each pair is drawn like the second. What Unicode's compatibility forms cover (full width, mathematical letters,
// ligatures, marks) is undone before, and capital letters are made small where they look like the small ones.
const drawnAs: ReadonlyMap<string, string> = new Map(
  [
    'aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo pp qq rr ss tt uu vv ww xx yy zz',
    '0o 1l 3e 4a 5s 7t 8b |l !l $s @a Il',
    'ıi ɩi øo łl đd ħh ŧt ŋn ɑa ɡg ɪi ʟl ɴn ʀr ʏy ʙb ɢg ʜh ᴀa ᴄc ᴅd ᴇe ᴊj ᴋk ᴍm ᴏo ᴘp ᴛt ᴜu ᴠv ᴡw ᴢz ƒf ɓb ɗd ƙk ʋv ǝe',
    // Greek, small and capital
    'αa βb γy εe ζz ηn ιi κk μu νv οo ρp σo τt υu χx ωw ϲc ϳj',
    'Αa Βb Εe Ζz Ηh Ιl Κk Μm Νn Οo Ρp Τt Υy Χx',
    // Cyrillic, Armenian
    'аa вb гr еe зe иu кk мm нh оo пn рp сc тt уy хx ьb ѕs іi јj һh ӏl ԁd ԛq ԝw ѵv',
    'օo սu հh ոn ցg յj',
  ].flatMap((line) => line.split(' ').map((pair) => [pair[0]!, pair[1]!] as const)),
)
