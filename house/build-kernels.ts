// `npm run kernels`: compiles the trainer's AssemblyScript to the two WebAssembly files beside it: plain SIMD, which gives the same bits
// on every machine, and relaxed SIMD, which is faster where the processor fuses multiply and add. Equal source gives equal bytes.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from './run-program.ts'
import { root } from './source-tree.ts'

export const kernelVariants = { plain: false, relaxed: true } as const

/** Writes `out`. Throws with the compiler's words if the source is wrong. */
export async function compileKernels(relaxed: boolean, out: string): Promise<void> {
  const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js')
  const source = 'academy/kernels/source/kernels.ts'
  const features = ['simd', 'threads', ...(relaxed ? ['relaxed-simd'] : [])].flatMap((name) => ['--enable', name])
  // The threads share one memory, which is made by whoever loads the module: up to 65536 pages, 4 GiB.
  const memory = ['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536']
  const options = ['--runtime', 'stub', '-O3', '--noAssert', '--use', `RELAXED=${relaxed ? 1 : 0}`]
  const args = [compiler, source, '-o', out, ...options, ...features, ...memory]
  const { code, stderr } = await runProgram(process.execPath, args, { cwd: root })
  if (code !== 0) throw new Error(`the kernels don't compile:\n${stderr}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, relaxed] of Object.entries(kernelVariants)) {
    const out = join(root, 'academy/kernels', `${name}.wasm`)
    await compileKernels(relaxed, out)
    process.stdout.write(`${out}: ${readFileSync(out).length} bytes\n`)
  }
}
