// Which words of a vocabulary mean nearly the same as a word by their form alone: one stem, shared spelling, or a person and a field.
import { ngramsOf } from './ngram-embedder.ts'
import { stemOf } from './stems.ts'

/** Cosine of two words' character n-grams from which they are kin: Shakespeare and Shakespearean have 0.77. */
export const kinLeastCosine = 0.5
/** Kin begin alike for at least this part of the shorter word ... */
const sharedStart = 0.6
/** ... or one is the other with at least this many letters in front: bio-chemistry, but not g-astronomy or in-organic. */
const frontLetters = 3
/** A lawyer knows law: all but the same word. */
const personSimilarity = 0.9

export interface KinIndex {
  /** Stems of the vocabulary akin to `word`, each with a similarity in 0..1; 1 is the same stem. */
  kinOf(word: string): ReadonlyMap<string, number>
}

/** `vocabulary`: stem -> the words it was made from. */
export function createKinIndex(vocabulary: ReadonlyMap<string, ReadonlySet<string>>): KinIndex {
  const stemsWithGram = new Map<string, string[]>()
  const gramCounts = new Map<string, number>()
  const stemsOfField = new Map<string, string[]>()
  for (const [stem, words] of vocabulary) {
    const grams = new Set(ngramsOf(stem))
    gramCounts.set(stem, grams.size)
    for (const gram of grams) append(stemsWithGram, gram, stem)
    for (const word of words) for (const field of fieldStemsOf(word)) append(stemsOfField, field, stem)
  }
  const known = new Map<string, ReadonlyMap<string, number>>()
  return {
    kinOf(word) {
      let kin = known.get(word)
      if (kin === undefined) known.set(word, (kin = findKin(word)))
      return kin
    },
  }

  function findKin(word: string): ReadonlyMap<string, number> {
    const stem = stemOf(word)
    const kin = new Map<string, number>()
    const grams = new Set(ngramsOf(stem))
    const shared = new Map<string, number>()
    for (const gram of grams)
      for (const other of stemsWithGram.get(gram) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1)
    for (const [other, count] of shared) {
      const cosine = count / Math.sqrt(grams.size * gramCounts.get(other)!)
      if (cosine >= kinLeastCosine && isRelated(stem, other)) kin.set(other, cosine)
    }
    for (const other of [
      ...fieldStemsOf(word).filter((field) => vocabulary.has(field)),
      ...(stemsOfField.get(stem) ?? []),
    ]) {
      kin.set(other, Math.max(personSimilarity, kin.get(other) ?? 0))
    }
    if (vocabulary.has(stem)) kin.set(stem, 1)
    return kin
  }
}

/** Spelling alone would make geology and biology kin by their common ending. */
function isRelated(a: string, b: string): boolean {
  const [shorter, longer] = a.length <= b.length ? [a, b] : [b, a]
  if (longer.endsWith(shorter) && longer.length - shorter.length >= frontLetters) return true
  let shared = 0
  while (shared < shorter.length && shorter[shared] === longer[shared]) shared++
  return shared >= sharedStart * shorter.length
}

function append(map: Map<string, string[]>, key: string, value: string): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else if (list.at(-1) !== value) list.push(value)
}

// Ending of a person's name of trade -> endings of the field.
const personEndings: readonly (readonly [person: string, fields: readonly string[]])[] = [
  ['ologist', ['ology']],
  ['ographer', ['ography']],
  ['onomer', ['onomy']],
  ['opher', ['ophy']],
  ['icist', ['ics', 'ic']],
  ['ician', ['ics', 'ic', 'icine']],
  ['ian', ['y']],
  ['ist', ['istry', 'y', 'ics', 'o', '']],
  ['yer', ['']],
]

// Other words in -er are rarely persons ("corner", "water"), so these are listed.
const workers = new Map(
  `baker:bake brewer:brew builder:build carpenter:carpentry composer:compose dancer:dance designer:design editor:edit
  engineer:engineering farmer:farm fisher:fish gardener:garden hunter:hunt jeweller:jewellery joiner:joinery painter:paint
  plumber:plumbing potter:pottery printer:print programmer:program sailor:sail sculptor:sculpture singer:sing
  speaker:speak tailor:tailoring teacher:teach translator:translate weaver:weave winemaker:wine writer:write`
    .split(/\s+/)
    .map((pair) => pair.split(':') as [string, string]),
)

/** Stems of what a person named so knows: "lawyer" -> [law], "chemist" -> [chemistri, …]. Most of the guesses are no words, which does no harm. */
export function fieldStemsOf(word: string): string[] {
  const singular = word.length > 4 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word
  const worker = workers.get(singular)
  if (worker !== undefined) return [stemOf(worker)]
  const ending = personEndings.find(([person]) => singular.endsWith(person) && singular.length - person.length >= 2)
  if (ending === undefined) return []
  const root = singular.slice(0, -ending[0].length)
  return ending[1].map((field) => stemOf(root + field)).filter((stem) => stem.length >= 3)
}
