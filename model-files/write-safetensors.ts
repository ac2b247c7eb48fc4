// Writes a safetensors file as the format's own library does: wide numbers first, then by name; the header padded so that data is aligned.
import { elementCount } from './gguf-format.ts'
import { elementBytes, type SafetensorsTensor } from './safetensors.ts'
import { writeWholeFile, type WrittenFile } from './whole-file.ts'

export interface SafetensorsSource extends Pick<SafetensorsTensor, 'name' | 'dtype' | 'shape'> {
  /** Asked once, when its turn comes. */
  readonly bytes: () => Uint8Array
}

const alignment = 8

/** In full or not at all. */
export async function writeSafetensors(
  path: string,
  tensors: readonly SafetensorsSource[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<WrittenFile> {
  const sorted = tensors.toSorted(
    (one, other) => elementBytes[other.dtype] - elementBytes[one.dtype] || (one.name < other.name ? -1 : 1),
  )
  return await writeWholeFile(path, fileChunks(sorted), options)
}

function* fileChunks(tensors: readonly SafetensorsSource[]): Generator<Uint8Array> {
  yield headerOf(tensors)
  for (const { name, bytes, ...tensor } of tensors) {
    const data = bytes()
    if (data.length !== sizeOf(tensor))
      throw new Error(`tensor ${name} needs ${sizeOf(tensor)} bytes, not ${data.length}`)
    yield data
  }
}

function headerOf(tensors: readonly SafetensorsSource[]): Uint8Array {
  // What PEFT asks the library to note: the arrays came from PyTorch, so its tools read them back as such.
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let offset = 0
  for (const { name, dtype, shape } of tensors) {
    const end = offset + sizeOf({ dtype, shape })
    header[name] = { dtype, shape, data_offsets: [offset, end] }
    offset = end
  }
  const json = Buffer.from(JSON.stringify(header))
  const padded = Math.ceil(json.length / alignment) * alignment
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded))
  return Buffer.concat([length, json, Buffer.alloc(padded - json.length, ' ')])
}

function sizeOf({ dtype, shape }: Pick<SafetensorsTensor, 'dtype' | 'shape'>): number {
  return elementCount(shape) * elementBytes[dtype]
}
