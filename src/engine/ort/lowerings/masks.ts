import { numberOf } from '../../../graph/attributes.js';
import type { Lowering, LoweringContext } from '../lowering.js';
import type { Sized } from '../sized.js';
import { affine } from './blocked.js';
import { windowOver } from './convolution.js';
import { maxPoolGradientByTaps } from './pooling.js';

/**
 * Masks of clipped values. HardSigmoid, min(1, max(0, alpha x + beta)), with a huge alpha is a step
 * function in one pass.
 */

const huge = 2 ** 100;

const step = ({ e }: LoweringContext, x: Sized, alpha: number, beta: number): Sized =>
  e.emit('HardSigmoid', [x], { alpha, beta }, x.shape);

/** 1 strictly between the bounds, else 0, for a y that is clipped to them. */
function between(context: LoweringContext, y: Sized, low: number, high: number, isBlocked: boolean): Sized {
  const { e } = context;
  if (high === Infinity) return step(context, y, huge, low === 0 ? 0 : -huge * low);
  if (low === -Infinity) return step(context, y, -huge, huge * high);
  // |y - middle| < half the range
  const half = (high - low) / 2,
    middle = low + half;
  // in blocks |y - middle| is one pass: an affine map with a LeakyRelu of slope -1
  const perChannel = (value: number): Sized => e.floats([y.shape[1]!], new Float32Array(y.shape[1]!).fill(value));
  const distance = isBlocked
    ? affine(e, y, perChannel(1), perChannel(-middle), { activation: { name: 'LeakyRelu', parameters: [-1] } })
    : e.emit('Abs', [e.sub(y, middle)], {}, y.shape);
  return step(context, distance, -huge, huge * half);
}

/** dy times the mask of y, in blocks where either is at hand so. */
const ClipGrad: Lowering = (context) => {
  const { e, node } = context,
    isBlocked = context.isBlocked(0) || context.isBlocked(1);
  const [low, high] = [numberOf(node.attributes, 'low', -Infinity), numberOf(node.attributes, 'high', Infinity)];
  const pooled = beforePool(context, low, high);
  if (pooled) return [{ blocked: pooled }];
  const [dy, y] = node.inputs.map((name) => context.take(name, isBlocked)) as [Sized, Sized];
  const dx = e.mul(dy, between(context, y, low, high, isBlocked));
  return [isBlocked ? { blocked: dx } : dx];
};

/**
 * The same where dy comes from a pool over y, in blocks: what the largest number of each window gets is masked before
 * it goes there, as that number is the pool's result, of which there are fewer.
 */
function beforePool(context: LoweringContext, low: number, high: number): Sized | undefined {
  const { e, node, choices } = context,
    [dy, y] = node.inputs as [string, string];
  const pool = context.producer(dy);
  if (pool?.op !== 'MaxPoolGrad' || pool.inputs[0] !== y || !context.isBlocked(0) || context.uses(dy) > 1)
    return undefined;
  const [x, largest, given] = pool.inputs.map((name) => context.take(name, true)) as [Sized, Sized, Sized];
  const masked = e.mul(given, between(context, largest, low, high, true));
  const window = windowOver(pool.name, pool.attributes, context.declared(1).shape as number[]);
  return maxPoolGradientByTaps(e, [x, largest, masked], window, choices.block);
}

export const masks: Readonly<Record<string, Lowering>> = { ClipGrad };
