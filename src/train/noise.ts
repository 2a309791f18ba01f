import { Random } from '../random.js';
import { sizeOf, type Tensor } from '../tensor.js';
import type { StepPosition } from './transforms.js';

/**
 * Noise is an input of the step: random ops inside an engine keep a generator that cannot be saved,
 * noise from (seed, step, name) can be made again at any step. Dropout and stochastic depth
 * multiply by masks.
 */
export interface MaskSpec extends UniformSpec {
  /** Probability of dropping. */
  readonly rate: number;
}

/** Numbers uniform in [0, 1). */
export interface UniformSpec {
  /** The graph input; of a mask `mask:` and the node it belongs to. */
  readonly input: string;
  /** Of a mask [N, ...] for dropout; [N, 1, ...] where whole branches are dropped. */
  readonly dims: readonly number[];
}

type DrawnAt = Pick<StepPosition, 'step' | 'microStep'>;

/** A mask: 0 with probability `rate`, else 1 / (1 - rate), so that the mean stays. */
export function drawMask({ input, dims, rate }: MaskSpec, seed: number, { step, microStep }: DrawnAt): Tensor {
  const random = new Random(seed, 'dropout', step, microStep, input);
  const keep = 1 / (1 - rate);
  const data = new Float32Array(sizeOf(dims));
  for (let i = 0; i < data.length; i++) data[i] = random.uniform() < rate ? 0 : keep;
  return { dtype: 'float32', dims, data };
}

export function drawUniform({ input, dims }: UniformSpec, seed: number, { step, microStep }: DrawnAt): Tensor {
  const random = new Random(seed, 'uniform', step, microStep, input);
  return { dtype: 'float32', dims, data: Float32Array.from({ length: sizeOf(dims) }, () => random.uniform()) };
}
