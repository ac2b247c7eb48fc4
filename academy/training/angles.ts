// The table of the rotary embedding (Su et al. 2021), by the kernels' own functions: cos and sin of position * ropeBase^(-2 pair / turned).
import type { Kernels } from '../kernels/kernels.ts'
import type { MemoryPlan, NetworkJob } from '../network/memory-plan.ts'

export function fillAngles(
  kernels: Kernels,
  { shape, exampleTokens }: NetworkJob,
  plan: Pick<MemoryPlan, 'angles'>,
  floats: Float32Array,
): void {
  const { turned, ropeBase } = shape
  const lnBase = kernels.log(ropeBase)
  for (let pair = 0; pair < turned; pair += 2) {
    const frequency = kernels.exp((-pair / turned) * lnBase)
    for (let position = 0; position < exampleTokens; position++) {
      const at = (plan.angles >>> 2) + position * turned + pair
      floats[at] = kernels.cos(position * frequency)
      floats[at + 1] = kernels.sin(position * frequency)
    }
  }
}
