import { MeshError } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import { tensorProgress } from '../tensor-progress.ts'
import { bytesText, countText } from '../units.ts'

export const exportCommand = command({
  name: 'export',
  summary: 'Turn a LoRA GGUF back into a PEFT folder',
  description:
    'The folder has the names, row order and scales that transformers and PEFT expect, whether or not the base file fuses q, k and v; its updates are those of the file. It must hold no adapter yet.',
  positionals: 'FILE',
  minPositionals: 1,
  maxPositionals: 1,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model that the adapter is for' },
    peft: { type: 'string', value: 'DIR', summary: 'Folder to write' },
    'base-name': {
      type: 'string',
      value: 'NAME',
      summary: 'Where PEFT finds the base: a folder or a name on a hub (default: the name in the base file)',
    },
    multimodal: {
      type: 'boolean',
      summary: 'Name the modules as in the multimodal model that the base is the text part of',
    },
  },
  examples: [
    'lora-mesh export adapter.gguf --base model.gguf --peft ./adapter-peft',
    'lora-mesh export recipes.gguf --base qwen2.5-0.5b-Q8_0.gguf --peft ./recipes --base-name Qwen/Qwen2.5-0.5B',
  ],
  async run({ positionals: [file = ''], options, signal, terminal }) {
    const { base, peft: dir, 'base-name': baseName, multimodal } = options
    if (base === undefined || dir === undefined)
      throw new MeshError('usage', 'Say --base FILE and --peft DIR: see `lora-mesh export --help`.')
    const { exportPeft, inspectBase } = await import('../../../model-files/index.ts')
    const info = await inspectBase(base, { signal })
    const name = baseName ?? info.label
    const onProgress = tensorProgress(terminal)
    const textModel = multimodal ? 'model.language_model' : 'model'
    const written = await exportPeft({ file, base: info, dir, baseName: name, textModel, signal, onProgress })
    const { rank, targets, modules, bytes } = written
    return {
      json: { peft: dir, baseName: name, rank, targets, modules, bytes },
      text: [
        `${dir}: ${bytesText(bytes)}, ${countText(modules, 'module')}, rank ${rank}, ${targets.join(' ')}`,
        `Load it in Python: PeftModel.from_pretrained(model, ${JSON.stringify(dir)}), with model the base ${JSON.stringify(name)}`,
      ].join('\n'),
    }
  },
})
