// Which adapters of the kit can be used, and the base that each was trained on.
export const adaptersOfBases = {
  stories260K: ['peft-shakespeare', 'peft-recipes', 'peft-rslora', 'peft-pattern'],
  'tiny-mistral': ['peft-mistral'],
  'tiny-qwen2': ['peft-qwen2', 'peft-qwen2-qv-rslora'],
  'tiny-gemma3': ['peft-gemma3'],
  'tiny-phi3': ['peft-phi3'],
} as const satisfies Readonly<Record<string, readonly string[]>>

/** The same as rows. */
export const kitAdapters: readonly { readonly adapter: string; readonly base: string }[] = Object.entries(
  adaptersOfBases,
).flatMap(([base, adapters]) => adapters.map((adapter) => ({ adapter, base })))
