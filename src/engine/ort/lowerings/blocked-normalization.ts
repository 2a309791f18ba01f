import { numberOf } from '../../../graph/attributes.js';
import type { InBlocks, Lowering, LoweringContext } from '../lowering.js';
import { isSized, type Sized } from '../sized.js';
import { affine, blockedMean, blockedProductSum, dropFilling, fillChannels, fusible, isImage } from './blocked.js';
import { channelGradient, inverseRoot, mixed } from './normalization.js';

/** Of each channel, filled up to whole blocks. */
interface Moments {
  readonly mean: Sized;
  readonly variance: Sized;
}

/**
 * y = a x + b with a = scale / sqrt(var + epsilon), b = bias - mean a, of a BatchNormalization with
 * the blocked image x.
 */
function normalise(context: LoweringContext, x: Sized, { mean, variance }: Moments): [InBlocks] {
  const {
    e,
    node,
    choices: { block },
  } = context;
  const [scale, bias] = [context.input(1), context.input(2)];
  const epsilon = numberOf(node.attributes, 'epsilon', 1e-5);
  const a = e.mul(fillChannels(e, scale, block), inverseRoot(e, variance, epsilon));
  const b = e.sub(fillChannels(e, bias, block), e.mul(mean, a));
  return fusible(context, (options) => affine(e, x, a, b, options));
}

/** BatchNormalization of an image in blocks. */
export const batchNormalization: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    outputs,
    choices: { block },
  } = context;
  const image = declared(0);
  if (!context.isBlocked(0) || !isSized(image)) return undefined;
  const x = context.blocked(0);
  const statistic = (index: number): Sized => fillChannels(e, context.input(index), block);
  if (numberOf(node.attributes, 'training_mode', 0) === 0) {
    return normalise(context, x, { mean: statistic(3), variance: statistic(4) });
  }
  // population variance = E[x^2] - mean^2, which rounding must not make negative
  const count = x.shape[0]! * x.shape[2]! * x.shape[3]!;
  const mean = blockedMean(e, x, block);
  const square = e.scale(blockedProductSum(e, x, x, block), 1 / count);
  const variance = e.emit('Relu', [e.sub(square, e.mul(mean, mean))], {}, mean.shape);
  const [y] = normalise(context, x, { mean, variance });
  if (outputs.length < 3) return [y];
  const channels = image.shape[1]!;
  const now = [dropFilling(e, mean, channels), dropFilling(e, variance, channels)] as const;
  return [y, ...mixed(e, [context.input(3), context.input(4)], now, numberOf(node.attributes, 'momentum', 0.9))];
};

/** The gradient of BatchNormalization, where its image or that of y is in blocks. */
export const batchNormalizationGradient: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    choices: { block },
  } = context;
  const image = declared(1);
  if (!isImage(image, block) || !(context.isBlocked(0) || context.isBlocked(1))) return undefined;
  const [dy, x] = [context.blocked(0), context.blocked(1)];
  const count = x.shape[0]! * x.shape[2]! * x.shape[3]!;
  const sums = { dy: e.scale(blockedMean(e, dy, block), count), dyx: blockedProductSum(e, dy, x, block), count };
  const statistic = (index: number): Sized => fillChannels(e, context.input(index), block);
  const { a, b, c, dscale, dbias } = channelGradient(e, sums, statistic(2), {
    mean: statistic(3),
    variance: statistic(4),
    epsilon: numberOf(node.attributes, 'epsilon', 1e-5),
    isOfBatch: numberOf(node.attributes, 'training_mode', 0) === 1,
  });
  const dx = affine(e, dy, a, b ? c : undefined, b ? { plus: affine(e, x, b, undefined) } : {});
  const channels = image.shape[1]!;
  return [{ blocked: dx }, dropFilling(e, dscale, channels), dropFilling(e, dbias, channels)];
};
