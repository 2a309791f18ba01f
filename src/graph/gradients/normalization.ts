import { axisOf, numberOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import type { Value } from '../graph.js';
import type { GradientContext, GradientTable } from '../gradients.js';
import { sameShape } from '../graph.js';
import { dimsOf, inputOf, outputGradient, range, unsupported, zerosLike } from './common.js';
import { localResponse, neighbourMean, responseScale } from '../local-response.js';
import { math, type GraphMath } from '../math.js';

type C = GraphMath;

/** xhat = (x - mean) / sqrt(variance + epsilon) over `axes`, and the factor 1 / sqrt(...). */
function standardise(
  context: GradientContext,
  c: C,
  x: Value,
  axes: readonly number[],
  epsilon: number,
): { xhat: Value; inverse: Value; mean: Value } {
  const mean = c.mean(x, axes),
    centred = c.sub(x, mean);
  const inverse = context.builder.op('Reciprocal', [c.sqrt(c.add(c.mean(c.mul(centred, centred), axes), epsilon))]);
  return { xhat: c.mul(centred, inverse), inverse, mean };
}

/**
 * Gradients of the mean and the variance that a BatchNormalization is given. With r = 1 / sqrt(variance + epsilon):
 * dmean = -scale r dbias, dvariance = -1/2 scale r^2 dscale.
 */
function givenStatistics(
  context: GradientContext,
  scale: Value,
  variance: Value,
  { epsilon, dscale, dbias }: { readonly epsilon: number; readonly dscale?: Value; readonly dbias?: Value },
): readonly (Value | undefined)[] {
  if (!context.needs(3) && !context.needs(4)) return [undefined, undefined];
  invariant(dscale && dbias, `${context.node.name}: a gradient without its parts`);
  const c = math(context.builder),
    shifted = c.add(variance, epsilon);
  return [c.neg(c.div(c.mul(scale, dbias), c.sqrt(shifted))), c.mul(c.div(c.mul(scale, dscale), shifted), -0.5)];
}

/**
 * The part of dx that comes through a batch's own mean and variance, of n values a channel:
 * dmean / n + 2 (x - mean) dvariance / n, written as a BatchNormalization, which is one pass.
 */
function ownStatistics(
  context: GradientContext,
  x: Value,
  mean: Value,
  [dmean, dvariance]: readonly (Value | undefined)[],
): Value {
  const { builder } = context,
    c = math(builder);
  const count = dimsOf(context, x).reduce((product, dim, axis) => (axis === 1 ? product : product * dim), 1);
  const zeros = zerosLike(builder, mean);
  const slope = dvariance ? c.mul(dvariance, 2 / count) : zeros,
    constant = dmean ? c.mul(dmean, 1 / count) : zeros;
  return builder.op('BatchNormalization', [x, slope, constant, mean, c.add(zeros, 1)], { epsilon: 0 });
}

/** Normalisations. */
export const normalization: GradientTable = {
  BatchNormalization: (context) => {
    const { builder } = context,
      [dy, ...ofStatistics] = context.outputGradients,
      training = numberOf(context.attributes, 'training_mode', 0);
    const [x, scale] = [inputOf(context, 0), inputOf(context, 1)];
    // in training with momentum 0 the further outputs are the batch's own mean and population
    // variance
    const own = training === 1;
    if (own && (context.outputs.length < 3 || numberOf(context.attributes, 'momentum', 0.9) !== 0)) {
      unsupported(context, 'in training mode it must have momentum 0 and three outputs');
    }
    const [mean, variance] = own
      ? [context.outputs[1]!, context.outputs[2]!]
      : [inputOf(context, 3), inputOf(context, 4)];
    const epsilon = numberOf(context.attributes, 'epsilon', 1e-5);
    const [dx, dscale, dbias] = dy
      ? builder.node('BatchNormalizationGrad', [dy, x, scale, mean, variance], { epsilon, training_mode: training })
      : [];
    if (!own) return [dx, dscale, dbias, ...givenStatistics(context, scale, variance, { epsilon, dscale, dbias })];
    if (!ofStatistics.some(Boolean)) return [dx, dscale, dbias, 'zero', 'zero'];
    const through = ownStatistics(context, x, mean, ofStatistics);
    return [dx ? builder.op('Add', [dx, through]) : through, dscale, dbias, 'zero', 'zero'];
  },
  LayerNormalization: (context) => {
    const { builder } = context,
      c = math(builder),
      dy = outputGradient(context),
      x = inputOf(context, 0),
      scale = inputOf(context, 1);
    const axis = axisOf(context.attributes, x.shape.length, -1);
    if (context.outputGradients.slice(1).some(Boolean)) unsupported(context, 'the loss depends on its statistics');
    if (!sameShape(scale.shape, x.shape.slice(axis))) unsupported(context, 'its scale is broadcast');
    let [, mean, inverse] = context.outputs;
    if (!mean || !inverse) {
      // the node keeps no statistics: compute them again
      ({ mean, inverse } = standardise(
        context,
        c,
        x,
        range(x.shape.length).slice(axis),
        numberOf(context.attributes, 'epsilon', 1e-5),
      ));
    }
    return builder.node('LayerNormalizationGrad', [dy, x, scale, mean, inverse], { axis });
  },
  // dx = inverse * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * scale, per sample and
  // channel
  InstanceNormalization: (context) => {
    const { builder } = context,
      c = math(builder),
      dy = outputGradient(context),
      x = inputOf(context, 0);
    const space = range(x.shape.length).slice(2),
      rest = [0, ...space];
    const { xhat, inverse } = standardise(context, c, x, space, numberOf(context.attributes, 'epsilon', 1e-5));
    const scale = builder.op('Unsqueeze', [inputOf(context, 1), builder.ints(space.map((axis) => axis - 1))]);
    const weighted = c.mul(dy, xhat),
      g = c.mul(dy, scale);
    const dx = (): Value =>
      c.mul(inverse, c.sub(c.sub(g, c.mean(g, space)), c.mul(xhat, c.mean(c.mul(weighted, scale), space))));
    return [
      context.needs(0) ? dx() : undefined,
      context.needs(1) ? c.sum(weighted, rest, false) : undefined,
      context.needs(2) ? c.sum(dy, rest, false) : undefined,
    ];
  },
  // y = x s^-beta, s = bias + alpha / size * sum of x^2 over neighbouring channels:
  // dx = dy s^-beta - 2 alpha beta / size * x * (sum over the neighbours of dy x s^(-beta - 1))
  LRN: (context) => {
    const { builder } = context,
      c = math(builder),
      dy = outputGradient(context),
      x = inputOf(context, 0);
    const options = localResponse(context.attributes),
      { size, alpha, beta } = options,
      s = responseScale(builder, x, options);
    const direct = c.mul(dy, c.pow(s, -beta));
    const spread = neighbourMean(builder, c.mul(c.mul(direct, x), builder.op('Reciprocal', [s])), size, true);
    return [c.sub(direct, c.mul(c.mul(x, 2 * alpha * beta), spread))];
  },
};
