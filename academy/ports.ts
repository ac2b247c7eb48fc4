// What the academy needs from others (wired in node/).

/** Text to token ids as the base's own tokenizer does it. */
export interface TextTokenizer {
  /** Without BOS or EOS; text that looks like a control token is plain text. */
  encode(text: string, options?: { readonly signal?: AbortSignal }): number[] | Promise<number[]>
}
