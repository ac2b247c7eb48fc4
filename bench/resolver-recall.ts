// Which share of requests finds its card first, or among the first three: keyword search, the built-in embedder, their hybrid, and
// the same with MiniLM, side by side on one set of files. Run with `node bench/resolver-recall.ts`.
// The rank weights of both embedders, the least likeness of kin and the 200 imagined documents were chosen on these very files, out of
// about a dozen weights and a handful of forms each: what the hybrids gain here over their parts is no promise for other data.
// Below about 3 points a difference on the 2000 task queries is noise; on the 112 personas and 155 categories one query is 0.9 and 0.6.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { z } from 'zod'
import {
  createBm25,
  createNgramEmbedder,
  createRetriever,
  createTransformersEmbedder,
  extractFacets,
  parseCatalogue,
  planRequest,
  rememberingEmbedder,
  stemsOf,
} from '../resolver/index.ts'
import type { Embedder } from '../resolver/index.ts'
import { worldCards } from '../fixtures/world/world.ts'
import { kit } from '../testing/kit.ts'

interface RecallSet {
  readonly name: string
  /** Passages per document. */
  readonly documents: readonly (readonly string[])[]
  readonly queries: readonly { readonly text: string; readonly document: number }[]
}

/** Scores of all documents for one query. */
type Ranker = (query: string) => Promise<ArrayLike<number>>

const tasksSchema = z.array(z.object({ cards: z.tuple([z.string(), z.string()]), queries: z.array(z.string()) }))
const personasSchema = z.array(z.object({ name: z.string(), prompt: z.string() }))
const taxonomySchema = z.array(z.object({ name: z.string(), description: z.string() }))
const requestsSchema = z.object({
  cards: z.array(z.object({ id: z.string(), text: z.string() })),
  requests: z.array(z.object({ text: z.string(), matches: z.array(z.string()), gaps: z.number() })),
})

if (!kit.present) {
  console.error('This measurement needs the test-data kit at ../shared/kit.')
  process.exit(1)
}
await using ngram = rememberingEmbedder(createNgramEmbedder())
await using miniLm = rememberingEmbedder(
  createTransformersEmbedder({ model: { folder: kit.path('embedder/all-MiniLM-L6-v2') } }),
)
printConditions()
for (const set of recallSets()) await printRecall(set)
for (const embedder of [ngram, miniLm]) for (const set of requestSets()) await printRequests(embedder, set)

function printConditions(): void {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
  const [cpu] = cpus()
  console.log(`machine  ${cpus().length} x ${cpu?.model}, ${process.platform} ${process.arch}, node ${process.version}`)
  console.log(
    `commit   ${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'resolver', 'bench/resolver-recall.ts') === '' ? '' : ' with changes in resolver/'}`,
  )
  console.log('weights  chosen on these files, so the hybrids are flattered; differences below 3 points are noise')
  console.log('bm25     k1 1.2, b 0.75; plain: all words; strong: Porter stems without stop words')
  for (const { id, trust } of [ngram, miniLm]) console.log(`embedder ${id} ${JSON.stringify(trust)}`)
}

function recallSets(): RecallSet[] {
  const tasks = tasksSchema.parse(readKit('dev-tasks.json'))
  const personas = personasSchema.parse(readKit('dev-personas.json'))
  const taxonomy = taxonomySchema.parse(readKit('arxiv-taxonomy.json'))
  const taskQueries = tasks.flatMap(({ queries }, document) => queries.map((text) => ({ text, document })))
  return [
    { name: 'tasks, both cards', documents: tasks.map(({ cards }) => cards), queries: taskQueries },
    { name: 'tasks, first card', documents: tasks.map(({ cards }) => [cards[0]]), queries: taskQueries },
    {
      name: 'personas',
      documents: personas.map(({ prompt }) => [prompt]),
      queries: personas.map(({ name }, document) => ({ text: name, document })),
    },
    {
      name: 'arXiv',
      documents: taxonomy.map(({ description }) => [description]),
      queries: taxonomy.map(({ name }, document) => ({ text: name, document })),
    },
  ]
}

function readKit(file: string): unknown {
  return JSON.parse(readFileSync(kit.path('resolver', file), 'utf8'))
}

async function printRecall({ name, documents, queries }: RecallSet): Promise<void> {
  const rankers = await rankersFor(documents)
  // Both embedders remember: with the vectors made beforehand the time is that of ranking.
  for (const embedder of [ngram, miniLm]) await embedder.embed(queries.map(({ text }) => text))
  console.log(
    `\n${name}: ${documents.length} documents, ${queries.length} queries (recall@1 / @3 / @5, percent; ms per query)`,
  )
  for (const [ranker, rank] of rankers) {
    const found = [0, 0, 0]
    const start = performance.now()
    for (const { text, document } of queries) {
      const place = placeOf(document, await rank(text))
      for (const [i, k] of [1, 3, 5].entries()) if (place < k) found[i]!++
    }
    const perQuery = (performance.now() - start) / queries.length
    const shares = found.map((count) => ((100 * count) / queries.length).toFixed(2).padStart(6)).join(' /')
    console.log(`  ${ranker.padEnd(34)}${shares}   ${perQuery.toFixed(2)}`)
  }
}

async function rankersFor(documents: RecallSet['documents']): Promise<Map<string, Ranker>> {
  const joined = documents.map((passages) => passages.join(' '))
  const plainWords = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? []
  const plain = createBm25(joined.map(plainWords))
  const strong = createBm25(joined.map(stemsOf))
  const skills = documents.map((passages) => ({ title: '', passages }))
  const rankers = new Map<string, Ranker>([
    ['plain BM25', async (query) => plain.score(plainWords(query))],
    ['strong BM25', async (query) => strong.score(stemsOf(query))],
  ])
  for (const [label, embedder] of [
    ['n-grams', ngram],
    ['MiniLM', miniLm],
  ] as const) {
    const retriever = await createRetriever(skills, embedder)
    const by = (of: 'score' | 'words' | 'similarity'): Ranker => {
      return async (text) => (await retriever.relevances({ text, terms: [text] })).map((relevance) => relevance[of])
    }
    if (embedder === ngram) rankers.set('words (BM25 with kin)', by('words'))
    rankers.set(`${label} alone`, by('similarity'))
    rankers.set(`hybrid: words + ${embedder.trust.rankWeight} ${label}`, by('score'))
  }
  return rankers
}

/** Documents ranked before this one; ties go to the lower index. */
function placeOf(document: number, scores: ArrayLike<number>): number {
  const own = scores[document]!
  let place = 0
  for (let i = 0; i < scores.length; i++) if (scores[i]! > own || (scores[i] === own && i < document)) place++
  return place
}

interface RequestSet extends z.infer<typeof requestsSchema> {
  readonly name: string
}

/** Two sets of requests, each written before anything was tried on it: those of the resolver's own tests, and those of the small world. */
function requestSets(): RequestSet[] {
  const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
  const { requests } = z
    .object({ requests: requestsSchema.shape.requests })
    .parse(read('../fixtures/world/requests.json'))
  return [
    { name: 'resolver/requests.json', ...requestsSchema.parse(read('../resolver/requests.json')) },
    { name: 'fixtures/world/requests.json', cards: worldCards(), requests },
  ]
}

/** Reported, not tuned on. */
async function printRequests(embedder: Embedder, { name, cards, requests }: RequestSet): Promise<void> {
  const catalogue = parseCatalogue(JSON.stringify({ cards }))
  const right = { matches: 0, gaps: 0, both: 0 }
  const wrong: string[] = []
  for (const { text, matches, gaps } of requests) {
    const plan = await planRequest({ text, cards: catalogue, embedder })
    const found = [...new Set(plan.matches.map(({ capability }) => capability))].toSorted()
    const matchesRight = found.join() === matches.join()
    const gapsRight = plan.gaps.length === gaps
    right.matches += Number(matchesRight)
    right.gaps += Number(gapsRight)
    right.both += Number(matchesRight && gapsRight)
    if (!matchesRight || !gapsRight) {
      const facets = extractFacets(text).map((facet) => facet.text)
      wrong.push(
        `    "${text}" (${facets.join(', ')}): ${found.join(', ') || 'nothing'} + ${plan.gaps.length} gaps; right: ${matches.join(', ') || 'nothing'} + ${gaps}`,
      )
    }
  }
  console.log(`\n${name}: ${requests.length} requests, ${cards.length} cards, ${embedder.id}`)
  console.log(`  right matches ${right.matches}, right number of gaps ${right.gaps}, both ${right.both}`)
  for (const line of wrong) console.log(line)
}
