// The small lexicon behind facet extraction: which words of a request are politeness and grammar, and which name what is wanted.
// English, as the command line is; words of other languages pass as content.
import { stemOf } from './stems.ts'

const set = (words: string): ReadonlySet<string> => new Set(words.split(/\s+/))

/** Words before a noun that neither end a phrase nor belong to it. */
export const determiners = set(`a an the some any my your our his her their its this these those every each such one`)

/**
 * Words that people wrap around what they ask for, in all their forms: dropped without ending a phrase. No stems: those of "excellent",
 * "general" and "experience" are also those of Excel, generation and experiment.
 */
export const fillers: ReadonlySet<string> = new Set(
  `ability able adapter advanced advice ai answer anybody anyone area ask assist assistance assistant basic basically bot
  capability capable competence competency competent create deep discuss do domain excellence excellent experience
  experienced expert expertise explain familiar familiarity field find fluency fluent fluently general generally get getting
  give good great guru hello help helpful hey hi interest interested interesting kind know knowledge knowledgeable look
  looking lora lot love make master model necessary need passion passionate persona person people please proficiency
  proficient provide question quick really recommend recommendation require search skill skilled skillful solid someone
  somebody something sort specialise specialist specialize speak stuff subject talk teach tell thank thanks thing topic type
  understand understanding use useful want well wish`
    .split(/\s+/)
    .flatMap(formsOf),
)

/** The word, its plural or third person, past and -ing form, and some that no word has. */
function formsOf(word: string): string[] {
  const stem = word.replace(/[ey]$/, '')
  const endings = word.endsWith('y') ? ['ies', 'ied', 'ying'] : ['es', 'ed', 'ing']
  return [word, `${word}s`, ...endings.map((ending) => stem + ending)]
}

/** Words after which stands what is not wanted: "without nuts", "but no swords", "not cooking". */
export const negations = set('without no not')

/** What is left of "for eight people" is nothing to be good at. */
export const numberWords = set(
  'two three four five six seven eight nine ten eleven twelve dozen twenty hundred thousand million',
)

/** "in the ... of X": X is a manner, not a subject. */
export const mannerNouns = set('style manner voice tone spirit vein')

/** "writes like X", "sounds like X": what follows is a manner too, and the verb says nothing more. */
export const mannerVerbStems: ReadonlySet<string> = new Set('write speak sound talk'.split(' ').map(stemOf))

/** What is written in a manner: left out of "the style of a Shakespeare play", which is about Shakespeare. */
export const genreNouns = set(
  `article ballad book comedy drama essay film letter movie novel piece play poem poetry prose sonnet song speech story
  text tragedy verse`,
)

/** Words after which a verb stands: "can write", "to cook", "who translates". */
export const verbContexts = set(`can could to will would may might should must who which that helps help me us please`)

const gerunds = {
  bake: 'baking',
  compose: 'composing',
  cook: 'cooking',
  draw: 'drawing',
  paint: 'painting',
  sing: 'singing',
  summarise: 'summarising',
  summarize: 'summarizing',
  translate: 'translation',
  write: 'writing',
}

const gerundsOfNounLikeVerbs = {
  build: 'building',
  code: 'coding',
  debug: 'debugging',
  design: 'design',
  edit: 'editing',
  grow: 'growing',
  plan: 'planning',
  play: 'playing',
  program: 'programming',
  proofread: 'proofreading',
  read: 'reading',
  repair: 'repair',
  review: 'review',
}

const byStem = (table: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(table).map(([verb, noun]) => [stemOf(verb), noun]))

/** Verb stem -> the noun for doing it. These are verbs wherever a phrase starts with them. */
export const verbNouns = byStem(gerunds)
/** The same for verbs that are as often nouns ("design patterns"): verbs only after a word of `verbContexts`. */
export const nounLikeVerbNouns = byStem(gerundsOfNounLikeVerbs)

// Combining forms and the fields they stand for. "biochemistry" is wanted of biology and chemistry where nobody has it as such.
const combiningForms: readonly (readonly [form: string, fields: readonly string[]])[] = [
  ['agro', ['agriculture', 'agronomy']],
  ['astro', ['astronomy']],
  ['bio', ['biology']],
  ['cardio', ['cardiology']],
  ['crypto', ['cryptography']],
  ['eco', ['ecology']],
  ['electro', ['electricity', 'electronics']],
  ['ethno', ['ethnology', 'anthropology']],
  ['geo', ['geology', 'geography']],
  ['hydro', ['hydrology']],
  ['immuno', ['immunology']],
  ['neuro', ['neuroscience', 'neurology']],
  ['paleo', ['paleontology']],
  ['palaeo', ['palaeontology']],
  ['pharmaco', ['pharmacology']],
  ['psycho', ['psychology']],
  ['socio', ['sociology']],
  ['techno', ['technology']],
  ['thermo', ['thermodynamics']],
]

// Endings that complete a combining form to one word and name no field of their own.
const bareEnding = /^(?:log|graph|nom|metr|scop|spher|sphere|path|naut|gen|dynam|stat|nic|tic|cyt|centr|degrad|divers)/

/** The fields that a learned compound is made of, as alternatives per part, or undefined: "biochemistry" -> [[biology], [chemistry]]. */
export function compoundPartsOf(word: string): readonly (readonly string[])[] | undefined {
  const form = combiningForms.find(([prefix]) => word.startsWith(prefix))
  if (form === undefined) return undefined
  const rest = word.slice(form[0].length)
  return rest.length >= 4 && !bareEnding.test(rest) ? [form[1], [rest]] : undefined
}
