// What an adapter says of itself: the README.md and adapter_config.json of a PEFT folder, or the metadata of a GGUF. All of it is somebody's
// text, often a template nobody filled in: it serves as a proposal to a publisher and for nothing else.
import { stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { openFileSource, readGguf } from '../model-files/index.ts'
import type { GgufValue } from '../model-files/index.ts'
import { isMeshError, limits, manifestSchema } from '../protocol/index.ts'
import { readFrontMatter } from './front-matter.ts'
import { licenceOfCard } from './licence.ts'

export interface AdapterCard {
  readonly name: string | undefined
  /** The first sentence that says something. */
  readonly summary: string | undefined
  /** SPDX. */
  readonly licence: string | undefined
  readonly tags: readonly string[]
  /** What it calls the base it was trained on. */
  readonly baseModel: string | undefined
}

const README = 'README.md'
const CONFIG = 'adapter_config.json'
/** What is proposed stands at the top of a card. */
const READ_MAX_BYTES = 64 * 1024

/** Names of folders and files that training programs choose for everyone. */
const genericName =
  /^(?:adapters?|adapter[-_.]?model|checkpoint[-_.]?\d*|final|best|last|lora|model|outputs?|out|peft|results?|runs?|saves?|training[-_.]?output|tmp)$/

/** Tags that say how it was made or is loaded, not what it is about. */
const technicalTags = new Set(
  `adapter autotrain axolotl dpo generated_from_trainer gguf llama-factory lora orpo peft qlora safetensors sft text-generation
  text-generation-inference transformers trl unsloth`.split(/\s+/),
)

/** What can't be read is absent. `path`: absolute. */
export async function readAdapterCard(path: string): Promise<AdapterCard> {
  return (await stat(path)).isDirectory() ? await cardOfFolder(path) : cardOfFile(path)
}

async function cardOfFolder(path: string): Promise<AdapterCard> {
  const { fields, body } = readFrontMatter(await readSmallText(join(path, README)))
  const first = (key: string): string | undefined => fields.get(key)?.[0]
  const license = first('license')
  return {
    name: nameOfPath(path) ?? slug(first('model_name') ?? titleOf(body) ?? ''),
    summary: firstSentence(body),
    licence: license && licenceOfCard(license, first('license_name')),
    tags: usefulTags(fields.get('tags') ?? []),
    baseModel: first('base_model') ?? baseOfConfig(await readSmallText(join(path, CONFIG))),
  }
}

function cardOfFile(path: string): AdapterCard {
  const metadata = readMetadata(path)
  const text = (key: string): string | undefined => {
    const entry = metadata.get(key)
    return entry?.type === 'string' && entry.value.trim() !== '' ? entry.value : undefined
  }
  const license = text('general.license')
  return {
    name: nameOfPath(path) ?? slug(text('general.name') ?? ''),
    summary: firstSentence(text('general.description') ?? ''),
    licence: license && licenceOfCard(license, text('general.license.name')),
    tags: usefulTags(textsOf(metadata.get('general.tags'))),
    baseModel: text('general.base_model.0.name'),
  }
}

function readMetadata(path: string): ReadonlyMap<string, GgufValue> {
  const seen = new Map<string, GgufValue>()
  using source = openFileSource(path)
  try {
    readGguf(source, 'adapter', seen)
  } catch (error) {
    // Whoever checks the adapter says what is wrong with it.
    if (!isMeshError(error)) throw error
  }
  return seen
}

function textsOf(entry: GgufValue | undefined): readonly string[] {
  return entry?.type === 'array' && entry.itemType === 'string' ? entry.value : []
}

/** The beginning of a text; none where there is no such file. */
async function readSmallText(path: string): Promise<string> {
  const facts = await stat(path).catch(() => undefined)
  if (facts === undefined || !facts.isFile()) return ''
  using source = openFileSource(path)
  return new TextDecoder().decode(source.read(0, Math.min(source.size, READ_MAX_BYTES)))
}

function baseOfConfig(json: string): string | undefined {
  try {
    const name = (JSON.parse(json) as Record<string, unknown>)['base_model_name_or_path']
    return typeof name === 'string' && name !== '' ? name : undefined
  } catch {
    return undefined
  }
}

/** From the file or folder, or from the folder around it where its own name is one that training programs give. */
function nameOfPath(path: string): string | undefined {
  for (const part of [path, dirname(path)]) {
    const name = slug(basename(part, /^\.(?:gguf|safetensors)$/i.test(extname(part)) ? extname(part) : ''))
    if (name !== undefined && !genericName.test(name)) return name
    if (name === undefined) return undefined
  }
  return undefined
}

/** `My Law Adapter v1.2.gguf` -> `my-law-adapter`. */
export function slug(text: string): string | undefined {
  const name = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9_.]+/g, '-')
    .replace(/[-_.]v?\d+(?:\.\d+)*$/, '')
    .replace(/([-_.])[-_.]+/g, '$1')
    .slice(0, limits.nameMaxChars)
    .replace(/^[-_.]+|[-_.]+$/g, '')
  return manifestSchema.shape.name.safeParse(name).success && name !== '' ? name : undefined
}

function usefulTags(tags: readonly string[]): string[] {
  const fits = manifestSchema.shape.tags
  const plain = tags.map((tag) => tag.trim().toLowerCase())
  return [...new Set(plain)]
    .filter((tag) => !technicalTags.has(tag) && fits.safeParse([tag]).success)
    .slice(0, limits.tagsMax)
}

function titleOf(body: string): string | undefined {
  const title = /^#\s+(.+)$/m.exec(body)?.[1]
  return title === undefined || /^model card for/i.test(title) ? undefined : title
}

/** Sentences that trainers write into every card. */
const boilerplate = [
  /^this (?:model|adapter) is a fine-?tuned version of\b/i,
  /^it (?:has been trained using|achieves the following results)\b/i,
  /^more information needed/i,
  /^this model card has been generated automatically/i,
  /^this is the model card of\b/i,
]

/** Of running text: no headings, lists, tables, code, comments or HTML, and nothing that stands in every card. */
export function firstSentence(markdown: string): string | undefined {
  const prose = markdown
    .replace(/<!--[\s\S]*?-->/g, '')
    .replace(/^(```|~~~)[\s\S]*?^\1.*$/gm, '')
    .replace(/<details[\s\S]*?<\/details>/gi, '')
  for (const paragraph of prose.split(/\n\s*\n/)) {
    if (/^\s*(?:#|[-*+]\s|\d+\.\s|\||>|=|---)/.test(paragraph)) continue
    for (const sentence of sentencesOf(plainProse(paragraph))) {
      if (sentence.length >= 8 && !boilerplate.some((pattern) => pattern.test(sentence))) return fitted(sentence)
    }
  }
  return undefined
}

function plainProse(paragraph: string): string {
  return paragraph
    .replace(/!\[[^\]]*\]\([^)]*\)/g, '')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<[^>]*>/g, '')
    .replace(/\[More Information Needed\]/gi, '')
    .replace(/(\*\*|__)(.+?)\1/g, '$2')
    .replace(/([*`])([^*`]+)\1/g, '$2')
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
}

/** A full stop ends a sentence where a capital follows: "v1.2" and "e.g. this" go on. */
function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.!?])\s+(?=\p{Lu})/u).map((sentence) => sentence.trim())
}

function fitted(sentence: string): string {
  const plain = sentence.replace(/(?<!\.)\.$/, '')
  if (plain.length <= limits.summaryMaxChars) return plain
  return `${plain
    .slice(0, limits.summaryMaxChars - 1)
    .toWellFormed()
    .replace(/(?:\s+\S*|\uFFFD)$/, '')}…`
}
