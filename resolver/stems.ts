// Words and their stems: what the keyword side of retrieval compares.
// The stemmer follows M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, rule by rule.

/** Words longer than this are cut: no real word is, and every later step is linear or worse in it. */
export const wordMaxChars = 48

/** Lower-case words of letters and digits in any script; diacritics are dropped, apostrophes end a word's stem ("Rome's" -> "rome"). */
export function wordsOf(text: string): string[] {
  const plain = text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().replaceAll('’', "'")
  const words: string[] = []
  for (const [match] of plain.matchAll(/[\p{L}\p{N}]+(?:'\p{L}+)?/gu)) {
    const word = match.replace(/'\p{L}+$/u, '')
    words.push(word.length > wordMaxChars ? word.slice(0, wordMaxChars).toWellFormed() : word)
  }
  return words
}

/** Stems of a text's content words, in order, repeats kept. */
export function stemsOf(text: string): string[] {
  return wordsOf(text)
    .filter((word) => !stopWords.has(word))
    .map(stemOf)
}

/** English words that carry grammar, not subject. */
export const stopWords: ReadonlySet<string> = new Set(
  `a about above after again against all also am an and any are as at be because been before being below between both
  but by can cannot could did do does doing don down during each either else etc ever every few for from further had
  has have having he her here hers herself him himself his how i if in into is it its itself just let like ll may me
  might more most must my myself neither no nor not now of off on once only onto or other others our ours ourselves
  out over own per please re same shall she should so some such than that the their theirs them themselves then there
  these they this those though through thus to too toward towards under until up upon us ve very via was we were what
  when where whether which while who whom whose why will with within without would yes yet you your yours yourself
  yourselves`.split(/\s+/),
)

/** True when the letter at `i` is a consonant in Porter's sense: y is one at the start and after a vowel. */
function consonantAt(word: string, i: number): boolean {
  switch (word[i]) {
    case 'a':
    case 'e':
    case 'i':
    case 'o':
    case 'u':
      return false
    case 'y': {
      // A run of y alternates; looking back one letter at a time without recursion keeps "yyyy…" linear.
      let first = i
      while (first > 0 && word[first - 1] === 'y') first--
      const firstIsConsonant = first === 0 || !consonantAt(word, first - 1)
      return (i - first) % 2 === 0 ? firstIsConsonant : !firstIsConsonant
    }
    default:
      return true
  }
}

/** Porter's m: how many vowel-consonant sequences the stem holds. */
function measure(stem: string): number {
  let m = 0
  for (let i = 1; i < stem.length; i++) if (consonantAt(stem, i) && !consonantAt(stem, i - 1)) m++
  return m
}

function hasVowel(stem: string): boolean {
  for (let i = 0; i < stem.length; i++) if (!consonantAt(stem, i)) return true
  return false
}

function endsWithDoubleConsonant(word: string): boolean {
  const last = word.length - 1
  return last > 0 && word[last] === word[last - 1] && consonantAt(word, last)
}

/** Porter's *o: consonant, vowel, consonant, and the last one is not w, x or y. */
function endsShort(word: string): boolean {
  const last = word.length - 1
  return (
    last >= 2 &&
    consonantAt(word, last) &&
    !consonantAt(word, last - 1) &&
    consonantAt(word, last - 2) &&
    !'wxy'.includes(word[last]!)
  )
}

type Rules = readonly (readonly [suffix: string, replacement: string])[]

const step2: Rules = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['abli', 'able'],
  ['alli', 'al'],
  ['entli', 'ent'],
  ['eli', 'e'],
  ['ousli', 'ous'],
  ['ization', 'ize'],
  ['ation', 'ate'],
  ['ator', 'ate'],
  ['alism', 'al'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['biliti', 'ble'],
]

const step3: Rules = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ful', ''],
  ['ness', ''],
]

const step4: readonly string[] = 'al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize'.split(
  ' ',
)

/** The longest suffix of `rules` that `word` ends with, replaced when the stem before it has m > 0. */
function replaceSuffix(word: string, rules: Rules): string {
  const rule = longest(rules, word, ([suffix]) => suffix)
  if (rule === undefined) return word
  const stem = word.slice(0, -rule[0].length)
  return measure(stem) > 0 ? stem + rule[1] : word
}

function longest<T>(items: readonly T[], word: string, suffixOf: (item: T) => string): T | undefined {
  let best: T | undefined
  for (const item of items) {
    if (word.endsWith(suffixOf(item)) && (best === undefined || suffixOf(item).length > suffixOf(best).length))
      best = item
  }
  return best
}

function plural(word: string): string {
  if (word.endsWith('sses') || word.endsWith('ies')) return word.slice(0, -2)
  return word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word
}

function pastAndGerund(word: string): string {
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
  const suffix = word.endsWith('ed') ? 2 : word.endsWith('ing') ? 3 : 0
  if (suffix === 0 || !hasVowel(word.slice(0, -suffix))) return word
  const stem = word.slice(0, -suffix)
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`
  if (endsWithDoubleConsonant(stem) && !/[lsz]$/.test(stem)) return stem.slice(0, -1)
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem
}

function dropSuffix(word: string): string {
  const suffix = longest(step4, word, (item) => item)
  if (suffix === undefined) return word
  const stem = word.slice(0, -suffix.length)
  if (measure(stem) <= 1 || (suffix === 'ion' && !/[st]$/.test(stem))) return word
  return stem
}

function tidy(word: string): string {
  let stem = word
  if (stem.endsWith('e')) {
    const m = measure(stem.slice(0, -1))
    if (m > 1 || (m === 1 && !endsShort(stem.slice(0, -1)))) stem = stem.slice(0, -1)
  }
  return stem.endsWith('ll') && measure(stem) > 1 ? stem.slice(0, -1) : stem
}

/** The Porter stem of a lower-case word. Words of one or two letters and words of other scripts are returned as they are. */
export function stemOf(word: string): string {
  if (word.length <= 2 || !/^[a-z]+$/.test(word)) return word
  let stem = pastAndGerund(plural(word))
  if (stem.endsWith('y') && hasVowel(stem.slice(0, -1))) stem = `${stem.slice(0, -1)}i`
  return tidy(dropSuffix(replaceSuffix(replaceSuffix(stem, step2), step3)))
}
