// What the trainer uses of WebAssembly; TypeScript knows it only together with everything else of a browser.
declare namespace WebAssembly {
  interface Module {
    readonly [moduleBrand]: never
  }
  const moduleBrand: unique symbol
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => Module
  class Memory {
    constructor(descriptor: { initial: number; maximum: number; shared: boolean })
    readonly buffer: SharedArrayBuffer
  }
  class Instance {
    constructor(module: Module, imports: { env: { memory: Memory } })
    readonly exports: Readonly<Record<string, unknown>>
  }
  function validate(bytes: Uint8Array<ArrayBuffer>): boolean
}
