// How common a word is in descriptions of skills at large. A small catalogue cannot tell: among two cards every word is rare.
// The retrieval adds these imagined documents to the catalogue's own, so that "writes" and "style" never make a match on their
// own, while in a large catalogue the catalogue's own counts prevail. The lists are judgement, written once, not fitted to any data.
import { stemOf } from './stems.ts'

/** Imagined documents that stand behind every catalogue. */
export const backgroundDocuments = 200

/** Content words of an imagined document: a name and a sentence or two. */
export const backgroundLength = 20

// In about a third of all descriptions: what any skill does, or what anybody may ask of one.
const everywhere = `able answer ask can create do explain expert expertise find generate get give good help information
  know knowledge make need provide question skill someone something style task text thing understand use want work
  write`

// In about one of ten: words that narrow a skill down a little, and name none.
const frequent = `advice advise analyse analysis analyze area assist assistant basic beginner best better bring build
  capable check choose clear code collect common complete complex compose content correct craft data deal deep describe
  description design detail develop discuss domain draft edit everyday example experience fact familiar field follow
  form format general great guide handle happen high idea identify improve input intermediate introduction issue kind
  language learn lesson level like list long look manner master matter method modern name natural new note old order
  original output own part people perform person piece plan play point possible practical prepare problem produce
  professional proper read reader real really recommend reply request respond response review right say school sentence
  serious set short show simple small solve sort speak special specialise specialist specialize speech step story study
  subject suggest support take talk teach tell term theory think time tip tool topic trained translate turn type
  various view voice way well word year`

const documentsWith = new Map<string, number>([
  ...frequent.split(/\s+/).map((word) => [stemOf(word), backgroundDocuments / 10] as const),
  ...everywhere.split(/\s+/).map((word) => [stemOf(word), backgroundDocuments / 3] as const),
])

/** How many of the imagined documents contain a word with this stem. */
export function backgroundFrequency(stem: string): number {
  return documentsWith.get(stem) ?? 0
}
