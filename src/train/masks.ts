import { Random } from '../random.js';
import { sizeOf, type Tensor } from '../tensor.js';
import type { StepPosition } from './transforms.js';

/**
 * Dropout and stochastic depth multiply by masks that are inputs of the step: random ops inside an
 * engine keep a generator that cannot be saved, masks from (seed, step, layer) can be made again at
 * any step.
 */
export interface MaskSpec {
  /** The graph input: `mask:` and the node it belongs to. */
  readonly input: string;
  /** [N, ...] for dropout; [N, 1, ...] where whole branches are dropped. */
  readonly dims: readonly number[];
  /** Probability of dropping. */
  readonly rate: number;
}

/** A mask: 0 with probability `rate`, else 1 / (1 - rate), so that the mean stays. */
export function drawMask({ input, dims, rate }: MaskSpec, seed: number, { step, microStep }: StepPosition): Tensor {
  const random = new Random(seed, 'dropout', step, microStep, input);
  const keep = 1 / (1 - rate);
  const data = new Float32Array(sizeOf(dims));
  for (let i = 0; i < data.length; i++) data[i] = random.uniform() < rate ? 0 : keep;
  return { dtype: 'float32', dims, data };
}
