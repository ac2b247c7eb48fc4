import { MeshError } from '../../../protocol/index.ts'
import { command } from '../command.ts'
import { countText, durationText } from '../units.ts'

const arithmetics = ['plain', 'relaxed'] as const
const lineEveryMs = 5_000

export const trainCommand = command({
  name: 'train',
  summary: 'Train an adapter for a base on your own text',
  description: `FILE.jsonl has one {"prompt": "...", "answer": "..."} per line, of which the answer is learnt, or {"text": "..."}; FILE.txt is
learnt as it stands. Bases of the llama architecture as F32, F16, BF16 or Q8_0, up to what fits into 4 GiB. Ctrl-C keeps what was
learnt beside the output: the same command goes on from there and ends with the same bytes.`,
  positionals: '',
  minPositionals: 0,
  maxPositionals: 0,
  options: {
    base: { type: 'string', value: 'FILE', summary: 'Base model to train for' },
    data: { type: 'string', value: 'FILE.jsonl|FILE.txt', summary: 'What to learn' },
    out: { type: 'string', short: 'o', value: 'OUT.gguf', summary: 'Adapter to write' },
    replay: {
      type: 'string',
      value: 'FILE',
      summary: 'What the base knows already and is not to forget; a part of each step',
    },
    'replay-share': { type: 'string', value: 'SHARE', summary: 'That part (default 0.5, at most 0.95)' },
    'held-out': {
      type: 'string',
      value: 'FILE',
      summary: 'What to measure on (default: every tenth of 50 examples or more)',
    },
    rank: { type: 'string', value: 'N', summary: 'Rank of the adapter (default 8)' },
    alpha: { type: 'string', value: 'N', summary: 'Its strength is alpha / rank (default twice the rank)' },
    targets: { type: 'string', value: 'A,B', summary: 'Matrices to change, such as attn_q,attn_v (default all seven)' },
    steps: { type: 'string', value: 'N', summary: 'Steps (default: about 15 times through the data)' },
    'batch-tokens': { type: 'string', value: 'N', summary: 'Tokens of a step (default 1024)' },
    'learning-rate': { type: 'string', value: 'X', summary: 'The highest learning rate (default 0.002)' },
    'rng-seed': { type: 'string', value: 'N', summary: 'Another number gives another start and order (default 1)' },
    workers: {
      type: 'string',
      value: 'N',
      summary: 'Threads, at most 4 (default: one per core); the result is the same',
    },
    arithmetic: {
      type: 'string',
      value: 'plain|relaxed',
      summary: 'plain gives the same bytes on every machine (default: the fastest here)',
    },
    dtype: { type: 'string', value: 'f32|f16', summary: 'How the adapter is stored (default f32)' },
  },
  examples: [
    'lora-mesh train --base model.gguf --data law.jsonl -o law.gguf',
    'lora-mesh train --base model.gguf --data notes.txt --replay general.txt -o notes.gguf --rank 16 --steps 500',
  ],
  async run({ options, signal, terminal }) {
    const { base, data, out } = options
    if (base === undefined || data === undefined || out === undefined)
      throw new MeshError('usage', 'Say --base FILE, --data FILE and -o OUT.gguf: see `lora-mesh train --help`.')
    const { trainFiles } = await import('../../train-files.ts')
    const rank = integer('rank', options.rank, 1, 512) ?? 8
    let saidAt = -Infinity
    const result = await trainFiles(
      {
        base,
        data,
        out,
        replay: options.replay,
        heldOut: options['held-out'],
        dtype: choice('dtype', options.dtype ?? 'f32', ['f32', 'f16']) === 'f32' ? 'F32' : 'F16',
        arithmetic:
          options.arithmetic === undefined ? undefined : choice('arithmetic', options.arithmetic, arithmetics),
        workers: integer('workers', options.workers, 1, 4),
        recipe: {
          rank,
          alpha: positive('alpha', options.alpha, 4_096) ?? 2 * rank,
          targets: await parseTargets(options.targets),
          steps: integer('steps', options.steps, 1, 1_000_000),
          batchTokens: integer('batch-tokens', options['batch-tokens'], 16, 65_536) ?? 1_024,
          learningRate: positive('learning-rate', options['learning-rate'], 1) ?? 2e-3,
          warmUpShare: 0.03,
          clip: 1,
          weightDecay: 0,
          replayShare: parseShare(options),
          rngSeed: integer('rng-seed', options['rng-seed'], 0, 2 ** 31 - 1) ?? 1,
        },
        signal,
      },
      {
        start({ examples, heldOut, replay, steps, workers, arithmetic }) {
          const more = [
            ...(heldOut > 0 ? [`${heldOut} held out`] : []),
            ...(replay > 0 ? [`${replay} of replay`] : []),
          ].map((text) => `, ${text}`)
          terminal.say(
            `${countText(examples, 'example')}${more.join('')}; ${countText(steps, 'step')}, ${countText(workers, 'worker')}, ${arithmetic} arithmetic`,
          )
        },
        damaged: () => terminal.say('What was kept of this training can not be read: it starts again.'),
        resume: (step) => terminal.say(`Going on after step ${step}.`),
        keepFailed: ({ message }) =>
          terminal.say(`What was learnt so far could not be kept, the training goes on: ${message}`),
        progress({ step, steps, loss, tokensPerSecond, etaMs }) {
          const now = performance.now()
          if (step < steps && now - saidAt < lineEveryMs) return
          saidAt = now
          const left = step < steps ? `, ${durationText(etaMs)} left` : ''
          terminal.say(
            `step ${step} of ${steps}  loss ${loss.toFixed(4)}  ${Math.round(tokensPerSecond)} tokens/s${left}`,
          )
        },
      },
    )
    const heldOutText = result.heldOutNll === null ? '' : `, ${result.heldOutNll.toFixed(4)} on what was held out`
    const text = `${out}: ${result.trainNll.toFixed(4)} per token on its data${heldOutText}\nMeasure it: lora-mesh ${data.endsWith('.jsonl') ? 'eval --suite FILE.jsonl' : 'nll --text FILE.txt'} --base ${base} --adapter ${out}`
    return { json: result, text }
  },
})

async function parseTargets(text: string | undefined) {
  const { matrixKinds } = await import('../../../academy/index.ts')
  if (text === undefined) return matrixKinds
  return text.split(',').map((name) => choice('targets', name.trim(), matrixKinds))
}

function parseShare(options: {
  readonly replay: string | undefined
  readonly 'replay-share': string | undefined
}): number {
  const text = options['replay-share']
  if (options.replay === undefined) {
    if (text !== undefined) throw new MeshError('usage', '--replay-share needs --replay FILE.')
    return 0
  }
  const share = text === undefined ? 0.5 : Number(text)
  if (!(share >= 0 && share <= 0.95))
    throw new MeshError('usage', `--replay-share ${text}: write a number from 0 to 0.95.`)
  return share
}

function integer(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw new MeshError('usage', `--${name} ${text}: write a whole number from ${least} to ${most}.`)
  return value
}

function positive(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0 && value <= most))
    throw new MeshError('usage', `--${name} ${text}: write a number above 0, at most ${most}.`)
  return value
}

function choice<const Name extends string>(option: string, text: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === text)
  if (found === undefined) throw new MeshError('usage', `--${option} ${text}: choose from ${names.join(', ')}.`)
  return found
}
