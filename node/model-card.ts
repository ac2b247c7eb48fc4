// The model card of a release: Markdown for people who meet the adapter outside the mesh. Everything in it is in the signed manifest.
import { identityToText, toHex } from '../protocol/index.ts'
import type { Manifest, SignedManifest } from '../protocol/index.ts'
import { requirementText } from './manifest-text.ts'

/** `suiteLabels`: suite digest in hex -> the name of its file. */
export function modelCard(
  { manifest, releaseId }: Pick<SignedManifest, 'manifest' | 'releaseId'>,
  suiteLabels: ReadonlyMap<string, string> = new Map(),
): string {
  const sections = [
    `# ${manifest.name} ${manifest.version}`,
    plain(manifest.summary),
    whatItIs(manifest),
    howToUse(manifest),
    howGood(manifest, suiteLabels),
    lineageOf(manifest),
    howToVerify(manifest, toHex(releaseId)),
  ]
  return `${sections.join('\n\n')}\n`
}

function whatItIs({ base, capabilities, licence, tags, requires, adapter }: Manifest): string {
  const { rank, alpha, dtype, targets, bytes } = adapter
  const rows = [
    `- Base: ${plain(base.label)}, base id \`${toHex(base.id)}\`. It works on every quantisation of this base and on no other.`,
    `- Adapter: LoRA of rank ${rank}, alpha ${alpha / 1e6}, ${dtype}, ${bytes} bytes; changes ${targets.join(', ')}.`,
    `- Licence: ${licence === 'NOASSERTION' ? 'not stated' : plain(licence)}`,
    ...(tags.length === 0 ? [] : [`- Tags: ${tags.join(', ')}`]),
    ...(requires.length === 0 ? [] : [`- Requires: ${requires.map(requirementText).join(', ')}`]),
  ]
  const offers = capabilities.map((one) => `- ${one.name}: ${plain(one.description)}`)
  return `## What it is\n\n${rows.join('\n')}\n\nIt offers:\n\n${offers.join('\n')}`
}

function howToUse({ publisher, name, version, use }: Manifest): string {
  const [least, most] = use.scaleRange
  const strength = `It is meant at strength ${use.scale / 1e6}; beside other adapters from ${least / 1e6} to ${most / 1e6}.`
  const trigger = use.trigger === undefined ? [] : [`It waits for this in a prompt: ${plain(use.trigger)}`]
  const prompt = use.systemPrompt === undefined ? [] : [`Its system prompt:\n\n${quoted(use.systemPrompt)}`]
  const command = `lora-mesh request "${identityToText(publisher)}/${name}@${version}" --chat`
  return ['## How to use it', `\`\`\`\n${command}\n\`\`\``, strength, ...trigger, ...prompt].join('\n\n')
}

function howGood({ evaluations, probe }: Manifest, suiteLabels: ReadonlyMap<string, string>): string {
  const probed = `Measured again by every node that fetches it: ${probe.length} token sequences, which it must predict as much better than the base as it did for its publisher.`
  if (evaluations.length === 0) return `## How good it is\n\nIts publisher measured it on no suite.\n\n${probed}`
  const head =
    '| suite | metric | base | with the adapter | n | standard error |\n| --- | --- | --- | --- | --- | --- |'
  const rows = evaluations.map(({ suite, metric, value, baseValue, n, standardError }) => {
    const digest = toHex(suite)
    const label = suiteLabels.get(digest)
    const cells = [metric, percent(baseValue), percent(value), n, percent(standardError)]
    return `| ${label === undefined ? '' : `${plain(label)} `}\`${digest.slice(0, 12)}\` | ${cells.join(' | ')} |`
  })
  const note =
    'Measured by its publisher, on a suite of its own choice: greedy answers, right when they are right word for word. The standard error is sqrt(p (1 - p) / n); that it is 0 where all or none are right is no certainty.'
  return ['## How good it is', [head, ...rows].join('\n'), note, probed].join('\n\n')
}

function lineageOf({ lineage }: Manifest): string {
  const made = { trained: 'Trained', fused: 'Fused', imported: 'Imported' }[lineage.method]
  if (lineage.parents.length === 0) return `## Lineage\n\n${made}; no parents are named.`
  const parents = lineage.parents.map(({ release, scale }) => `- release \`${toHex(release)}\`, at ${scale / 1e6}`)
  return `## Lineage\n\n${made}, from:\n\n${parents.join('\n')}`
}

function howToVerify({ publisher, name, version, adapter }: Manifest, releaseId: string): string {
  const rows = [
    `- Release id: \`${releaseId}\``,
    `- Publisher: \`${identityToText(publisher)}\``,
    `- SHA-256 of the adapter: \`${toHex(adapter.sha256)}\``,
  ]
  const how = `\`lora-mesh seed "${identityToText(publisher)}/${name}@${version}"\` fetches it and refuses it unless signature, digest, every tensor and the probe are right. A copy from elsewhere is the same file when \`sha256sum\` prints the digest above.`
  return `## How to verify it\n\n${rows.join('\n')}\n\n${how}`
}

/** Text that can't become a table cell, a link or HTML. */
function plain(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, '\\$&').replaceAll('\n', ' ')
}

function quoted(text: string): string {
  return text
    .split('\n')
    .map((line) => `> ${plain(line)}`)
    .join('\n')
}

function percent(millionths: number): string {
  return `${(millionths / 1e4).toFixed(1)} %`
}
