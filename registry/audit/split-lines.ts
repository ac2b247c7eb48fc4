// Lines of a file of any size, as it comes.
import { concatBytes } from '../../protocol/index.ts'

const lineFeed = 0x0a

/**
 * Each with its line feed; the last one lacks it where the file does. One of more than `maxBytes` is cut off there and is the last: a file
 * without lines must not fill the memory.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array()
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      yield concatBytes(rest, chunk.subarray(from, end + 1))
      rest = new Uint8Array()
      from = end + 1
    }
    rest = concatBytes(rest, chunk.subarray(from))
    if (rest.length > maxBytes) break
  }
  if (rest.length > 0) yield rest
}
