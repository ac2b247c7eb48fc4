// GPT-2's way to write bytes as visible characters, so that a list of tokens is a list of ordinary strings: the 188 printable characters of
// Latin-1 stand for their own byte, the other 68 bytes for U+0100 to U+0143 in order (space is U+0120, newline U+010A).
// Source: openai/gpt-2, src/encoder.py, bytes_to_unicode.

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)

/** The character of each of the 256 bytes. */
export const byteCharacters: readonly string[] = charactersOfBytes()

const bytesByCharacter: ReadonlyMap<string, number> = new Map(
  byteCharacters.map((character, byte) => [character, byte] as const),
)

/** The bytes behind a token's text. What isn't a byte character, which no token that we make has, stands for itself. */
export function bytesOfToken(text: string): Uint8Array {
  const characters = Array.from(text)
  const bytes = characters.map((character) => bytesByCharacter.get(character))
  if (bytes.every((byte) => byte !== undefined)) return Uint8Array.from(bytes)
  return Buffer.concat(
    characters.map((character, index) => {
      const byte = bytes[index]
      return byte === undefined ? Buffer.from(character) : Buffer.of(byte)
    }),
  )
}

function charactersOfBytes(): string[] {
  let hidden = 0
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : 0x100 + hidden++))
}
