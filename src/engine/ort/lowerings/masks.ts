import type { Lowering, LoweringContext } from '../lowering.js';
import type { Sized } from '../sized.js';
import { affine } from './blocked.js';

/**
 * Masks of clipped activations. Sign costs onnxruntime several passes' time; HardSigmoid, min(1,
 * max(0, alpha x + beta)) with a huge alpha, is a step function in one.
 */

const huge = 2 ** 100;

const step = ({ e }: LoweringContext, x: Sized, alpha: number, beta: number): Sized =>
  e.emit('HardSigmoid', [x], { alpha, beta }, x.shape);

/** Bounds of the Clip (or Relu) that made a value. */
function boundsOf(context: LoweringContext, name: string): { low: number; high: number } | undefined {
  const node = context.producer(name);
  if (node?.op === 'Relu') return { low: 0, high: Infinity };
  if (node?.op !== 'Clip') return undefined;
  const bound = (index: number, otherwise: number): number | undefined => {
    const input = node.inputs[index] ?? '';
    return input === '' ? otherwise : context.constant(input);
  };
  const [low, high] = [bound(1, -Infinity), bound(2, Infinity)];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/** sign(y) of y = max(0, ...) is 1 where y > 0, else 0. */
const signOfRelu: Lowering = (context) => {
  const { node } = context;
  const bounds = boundsOf(context, node.inputs[0]!);
  if (bounds?.low !== 0) return undefined;
  return context.each((x) => step(context, x, huge, 0));
};

/**
 * sign((y - low) (high - y)) of y = clip(..., low, high) is 1 strictly between the bounds, else 0;
 * written 1 where
 * |y - middle| < half the range.
 */
const signOfClip: Lowering = (context) => {
  const { node, producer, e } = context;
  const product = producer(node.inputs[0]!);
  if (product?.op !== 'Mul') return undefined;
  const below = producer(product.inputs[1]!);
  const negated = below?.op === 'Add' ? producer(below.inputs[0]!) : undefined;
  if (negated?.op !== 'Neg') return undefined;
  const y = negated.inputs[0]!;
  const bounds = boundsOf(context, y);
  if (!bounds || !Number.isFinite(bounds.low) || !Number.isFinite(bounds.high)) return undefined;
  if (context.constant(below!.inputs[1]!) !== bounds.high) return undefined;
  const above = producer(product.inputs[0]!);
  const isAbove =
    product.inputs[0] === y
      ? bounds.low === 0
      : above?.op === 'Sub' && above.inputs[0] === y && context.constant(above.inputs[1]!) === bounds.low;
  if (!isAbove) return undefined;
  const half = (bounds.high - bounds.low) / 2;
  const middle = bounds.low + half;
  return context.each((x, isBlocked) => {
    // in blocks |y - middle| is one pass: an affine map with a LeakyRelu of slope -1
    const perChannel = (value: number): Sized => e.floats([x.shape[1]!], new Float32Array(x.shape[1]!).fill(value));
    const distance = isBlocked
      ? affine(e, x, perChannel(1), perChannel(-middle), { activation: { name: 'LeakyRelu', parameters: [-1] } })
      : e.emit('Abs', [e.sub(x, middle)], {}, x.shape);
    return step(context, distance, -huge, huge * half);
  }, y);
};

export const masks: Readonly<Record<string, Lowering>> = {
  Sign: (context) => signOfRelu(context) ?? signOfClip(context),
};
