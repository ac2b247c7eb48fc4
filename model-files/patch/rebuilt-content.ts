// The newer file as the writer of GGUF files takes it: header facts and, tensor by tensor, bytes that come chunk by chunk.
import type { GgufFile } from '../gguf-format.ts'
import type { GgufChunks, GgufContent } from '../gguf-writer.ts'

/** `data` yields the data of all tensors in their order, however it is cut. */
export function contentOf(
  { metadata, tensors }: Pick<GgufFile, 'metadata' | 'tensors'>,
  data: AsyncIterable<Uint8Array>,
): GgufContent<GgufChunks> {
  const chunks = data[Symbol.asyncIterator]()
  let rest: Uint8Array = new Uint8Array(0)
  async function* take(bytes: number): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0;) {
      if (rest.length === 0) {
        const next = await chunks.next()
        if (next.done === true) throw new Error(`${left} bytes of a tensor are missing`)
        rest = next.value
      }
      const part = rest.subarray(0, left)
      rest = rest.subarray(part.length)
      left -= part.length
      yield part
    }
  }
  return { metadata, tensors: tensors.map((tensor) => ({ ...tensor, data: take(tensor.bytes) })) }
}
