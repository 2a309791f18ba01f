import { rowsOf, whole, type Slice } from '../parallel/communicator.js';
import { Random } from '../random.js';
import { float32, sizeOf, type FloatTensor, type Tensor } from '../tensor.js';
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
  /**
   * Rows of [N, ...] that are cut among ranks each by itself, as the views of a batch are; default
   * all as one.
   */
  readonly blocks?: readonly number[] | undefined;
}

type DrawnAt = Pick<StepPosition, 'step' | 'microStep'>;

/**
 * A mask: 0 with probability `rate`, else 1 / (1 - rate), so that the mean stays. A slice draws its
 * rows of what all ranks together would draw.
 */
export function drawMask(spec: MaskSpec, seed: number, at: DrawnAt, slice = whole): Tensor {
  const { rate } = spec;
  const keep = 1 / (1 - rate);
  const drawn = drawRows(spec, 'dropout', { seed, at, slice });
  for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = drawn.data[i]! < rate ? 0 : keep;
  return drawn;
}

/** Numbers uniform in [0, 1); of a slice as in `drawMask`. */
export const drawUniform = (spec: UniformSpec, seed: number, at: DrawnAt, slice = whole): FloatTensor =>
  drawRows(spec, 'uniform', { seed, at, slice });

function drawRows(
  { input, dims, blocks = [1] }: UniformSpec,
  purpose: string,
  { seed, at: { step, microStep }, slice }: { readonly seed: number; readonly at: DrawnAt; readonly slice: Slice },
): FloatTensor {
  const random = new Random(seed, purpose, step, microStep, input);
  const data = new Float32Array(sizeOf(dims));
  // Elements of a row of a block; rows may stand for several of [N, ...], such as tokens.
  const each = data.length / blocks.reduce((sum, rows) => sum + rows, 0);
  let next = 0;
  for (const rows of blocks) {
    const all = rows * each * slice.size,
      own = rowsOf(slice, all);
    random.skip(own.from);
    for (const end = next + own.count; next < end; next++) data[next] = random.uniform();
    random.skip(all - own.from - own.count);
  }
  return float32(dims, data);
}
