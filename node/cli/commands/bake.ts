import { MeshError, toHex } from '../../../protocol/index.ts'
import type { BakeDtype } from '../../../model-files/index.ts'
import { parseScaledFile } from '../../scaled-file.ts'
import { command } from '../command.ts'
import { bytesText } from '../units.ts'

const dtypes: readonly BakeDtype[] = ['f32', 'f16', 'q8_0']

export const bakeCommand = command({
  name: 'bake',
  summary: 'Fold several adapters into one file that does exactly what they do together',
  positionals: 'A.gguf[:SCALE] [B.gguf[:SCALE]]...',
  minPositionals: 1,
  maxPositionals: 1_000,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model that the adapters are for' },
    out: { type: 'string', short: 'o', value: 'OUT', summary: 'File to write' },
    dtype: { type: 'string', value: 'f32|f16|q8_0', summary: 'How the matrices are stored (default f32)' },
  },
  examples: ['lora-mesh bake --base model.gguf -o both.gguf biology.gguf:0.7 chemistry.gguf:0.3 --dtype f16'],
  async run({ positionals, options: { base, out, dtype = 'f32' }, signal }) {
    if (base === undefined || out === undefined)
      throw new MeshError('usage', 'Say --base FILE and -o OUT: see `lora-mesh bake --help`.')
    const chosen = dtypes.find((name) => name === dtype)
    if (chosen === undefined) throw new MeshError('usage', `--dtype ${dtype}: choose one of ${dtypes.join(', ')}.`)
    const adapters = positionals.map(parseScaledFile)
    const { bakeAdapters, inspectBase } = await import('../../../model-files/index.ts')
    const baked = await bakeAdapters({
      base: await inspectBase(base, { signal }),
      adapters,
      dtype: chosen,
      out,
      signal,
    })
    const json = { ...baked, sha256: toHex(baked.sha256) }
    const kept = baked.keptF16?.length ? `\nkept as F16: ${baked.keptF16.join(' ')}` : ''
    return {
      json,
      text: `${out}: ${bytesText(baked.bytes)}, rank ${baked.rank}, ${chosen}\nsha256 ${json.sha256}${kept}`,
    }
  },
})
