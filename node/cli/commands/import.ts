import { MeshError, toHex } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import { tensorProgress } from '../tensor-progress.ts'
import { bytesText } from '../units.ts'

export const importCommand = command({
  name: 'import',
  summary: 'Turn a PEFT folder into a LoRA GGUF for a base',
  description:
    'For Llama, Mistral, Qwen2 and 2.5, Qwen3, Gemma 2, Gemma 3 and Phi-3. The base file decides on names, heads and scales; its q, k and v may be fused. What cannot be represented exactly is refused by name; nothing is written then.',
  positionals: 'PEFT_DIR',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model that the adapter was trained on' },
    out: { type: 'string', short: 'o', value: 'OUT.gguf', summary: 'File to write' },
  },
  examples: [
    'lora-mesh import ./training-output --base model.gguf -o adapter.gguf',
    'lora-mesh import ./checkpoint-400 --base gemma-3-4b-it-Q8_0.gguf -o recipes.gguf --json',
  ],
  async run({ positionals: [dir = ''], options: { base, out }, signal, terminal }) {
    if (base === undefined || out === undefined)
      throw new MeshError('usage', 'Say --base FILE and -o OUT.gguf: see `lora-mesh import --help`.')
    const { convertPeft, inspectBase } = await import('../../../model-files/index.ts')
    const onProgress = tensorProgress(terminal)
    const written = await convertPeft({ dir, base: await inspectBase(base, { signal }), out, signal, onProgress })
    const { rank, targets, bytes } = written
    const sha256 = toHex(written.sha256)
    return {
      json: { out, sha256, rank, targets },
      text: `${out}: ${bytesText(bytes)}, rank ${rank}, ${targets.join(' ')}\nsha256 ${sha256}`,
    }
  },
})
