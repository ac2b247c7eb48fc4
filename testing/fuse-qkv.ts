// Copies of a base in which q, k and v of each block are one tensor, or three: llama.cpp's converter writes either, and both are the same model.
import {
  memorySource,
  readGguf,
  readTensor,
  writeGguf,
  type GgufTensorInfo,
  type GgufTensorSource,
} from '../model-files/index.ts'

type Tensor = GgufTensorSource<Uint8Array>

export function fuseQkv(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return rewritten(bytes, (tensor, all) => {
    if (/\.attn_[kv]\.(?:weight|bias)$/.test(tensor.name)) return []
    if (!/\.attn_q\.(?:weight|bias)$/.test(tensor.name)) return [tensor]
    const three = ['q', 'k', 'v'].map((letter) => all.get(tensor.name.replace('attn_q', `attn_${letter}`))!)
    const rows = three.reduce((sum, part) => sum + part.shape.at(-1)!, 0)
    const name = tensor.name.replace('attn_q', 'attn_qkv')
    const shape = [...tensor.shape.slice(0, -1), rows]
    return [{ name, type: tensor.type, shape, data: Buffer.concat(three.map(({ data }) => data)) }]
  })
}

/** `rows` of q, k and v. For bases without biases there. */
export function splitQkv(bytes: Uint8Array, rows: readonly [number, number, number]): Uint8Array<ArrayBuffer> {
  return rewritten(bytes, (tensor) => {
    if (!tensor.name.endsWith('.attn_qkv.weight')) return [tensor]
    const rowBytes = tensor.data.length / tensor.shape[1]!
    return rows.map((count, index) => {
      const start = rows.slice(0, index).reduce((sum, before) => sum + before, 0)
      const name = tensor.name.replace('attn_qkv', `attn_${'qkv'[index]}`)
      const data = tensor.data.subarray(start * rowBytes, (start + count) * rowBytes)
      return { name, type: tensor.type, shape: [tensor.shape[0]!, count], data }
    })
  })
}

function rewritten(
  bytes: Uint8Array,
  change: (tensor: Tensor, all: ReadonlyMap<string, Tensor>) => readonly Tensor[],
): Uint8Array<ArrayBuffer> {
  const file = readGguf(memorySource(bytes), 'base')
  const read = ({ name, type, shape }: GgufTensorInfo, index: number): Tensor => {
    return { name, type, shape, data: readTensor(file, file.tensors[index]!) }
  }
  const all = new Map(file.tensors.map((tensor, index) => [tensor.name, read(tensor, index)]))
  return writeGguf({ metadata: file.metadata, tensors: [...all.values()].flatMap((tensor) => change(tensor, all)) })
}
