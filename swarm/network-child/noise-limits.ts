/* oxlint-disable no-underscore-dangle -- the library names the inner part that is read here so */
// The encryption layer collects a message of up to 16 MiB, by its claim, before it decrypts it; an honest one is never larger than a frame.
import type { NoiseStream } from 'hyperdht'
import { limits } from '../../protocol/index.ts'

const messageMaxBytes = limits.frameMaxBytes + 1_024

export function collectsTooMuch(stream: NoiseStream): boolean {
  return stream._len > messageMaxBytes
}
