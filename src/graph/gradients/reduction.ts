import { axisOf, fromFront, listOf, numberOf } from '../attributes.js';
import type { Value } from '../graph.js';
import type { GradientContext, GradientRule, GradientTable } from '../gradients.js';
import { constantInts, dimOf, expandLike, inputOf, outputGradient, range, reshapeTo, unsupported } from './common.js';
import { math, type GraphMath } from '../math.js';

/** The axes a node reduces, counted from the front; undefined when it reduces none. */
function reducedAxes(context: GradientContext): number[] | undefined {
  const rank = inputOf(context, 0).shape.length;
  const axes = constantInts(context, 1) ?? listOf(context.attributes, 'axes');
  if (axes !== undefined && axes.length > 0) return axes.map((axis) => fromFront(axis, rank));
  return numberOf(context.attributes, 'noop_with_empty_axes', 0) === 1 ? undefined : range(rank);
}

interface Reduced {
  readonly c: GraphMath;
  readonly x: Value;
  /** The result, with reduced axes kept as size 1. */
  readonly y: Value;
  readonly dy: Value;
  readonly axes: readonly number[];
}

/**
 * A rule that writes dx in terms of values with reduced axes kept; what it returns is repeated to
 * x's shape.
 */
const reduction =
  (derivative: (terms: Reduced) => Value): GradientRule =>
  (context) => {
    const { builder } = context,
      x = inputOf(context, 0),
      axes = reducedAxes(context);
    const kept = x.shape.map((dim, axis) => (axes?.includes(axis) ? 1 : dim));
    const dx = derivative({
      c: math(builder),
      x,
      axes: axes ?? [],
      y: reshapeTo(builder, context.outputs[0]!, kept),
      dy: reshapeTo(builder, outputGradient(context), kept),
    });
    return [expandLike(builder, dx, x)];
  };

/** All elements equal to the extreme value share its gradient, as in PyTorch's amax. */
const extreme = reduction(({ c, x, y, dy, axes }) => {
  const mask = c.mask('Equal', x, y);
  return c.mul(mask, c.div(dy, c.sum(mask, axes)));
});

const softmaxAxis = (context: GradientContext): number =>
  axisOf(context.attributes, context.outputs[0]!.shape.length, -1);

/** Reductions, softmax and running sums. */
export const reductions: GradientTable = {
  ReduceSum: reduction(({ dy }) => dy),
  ReduceMean: (context) => {
    const axes = reducedAxes(context) ?? [],
      x = inputOf(context, 0);
    const count = axes.reduce((product, axis) => product * dimOf(context, x.shape[axis]), 1);
    return reduction(({ c, dy }) => c.mul(dy, 1 / count))(context);
  },
  ReduceMax: extreme,
  ReduceMin: extreme,
  ReduceL1: reduction(({ c, x, dy }) => c.mul(dy, c.sign(x))),
  // x / |x|, and 0 where all of x is 0, as in PyTorch
  ReduceL2: (context) =>
    reduction(({ c, x, y, dy }) => c.mul(x, c.div(dy, c.where(context.builder.op('Equal', [y, 0]), 1, y))))(context),
  ReduceSumSquare: reduction(({ c, x, dy }) => c.mul(x, c.mul(dy, 2))),
  ReduceLogSum: reduction(({ c, y, dy }) => c.mul(dy, c.exp(c.neg(y)))),
  ReduceLogSumExp: reduction(({ c, x, y, dy }) => c.mul(dy, c.exp(c.sub(x, y)))),
  // dx = y (dy - sum(dy y))
  Softmax: (context) => {
    const c = math(context.builder),
      y = context.outputs[0]!,
      weighted = c.mul(outputGradient(context), y);
    return [c.sub(weighted, c.mul(y, c.sum(weighted, [softmaxAxis(context)])))];
  },
  // dx = dy - softmax(x) sum(dy)
  LogSoftmax: (context) => {
    const c = math(context.builder),
      y = context.outputs[0]!,
      dy = outputGradient(context);
    return [c.sub(dy, c.mul(c.exp(y), c.sum(dy, [softmaxAxis(context)])))];
  },
  CumSum: (context) => {
    const reverse = 1 - numberOf(context.attributes, 'reverse', 0),
      exclusive = numberOf(context.attributes, 'exclusive', 0);
    return [
      context.builder.op('CumSum', [outputGradient(context), inputOf(context, 1)], { reverse, exclusive }),
      'zero',
    ];
  },
  TopK: (context) => {
    if (context.outputs.length < 2) unsupported(context, 'its indices are not kept');
    const { builder } = context,
      x = inputOf(context, 0),
      axis = numberOf(context.attributes, 'axis', -1);
    const zeros = expandLike(
      builder,
      reshapeTo(
        builder,
        builder.scalar(0, x.dtype),
        x.shape.map(() => 1),
      ),
      x,
    );
    return [
      builder.op('ScatterElements', [zeros, context.outputs[1]!, outputGradient(context)], {
        axis: fromFront(axis, x.shape.length),
      }),
      'zero',
    ];
  },
  ArgMax: 'none',
  ArgMin: 'none',
};
