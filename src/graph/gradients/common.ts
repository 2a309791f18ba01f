import { invariant, PupilError } from '../../errors.js';
import { numbersOf } from '../../tensor.js';
import type { GraphBuilder } from '../builder.js';
import type { Dim, Shape, Value } from '../graph.js';
import { formatShape, sameShape, staticDims } from '../graph.js';
import type { GradientContext } from '../gradients.js';

/** Refuses a node with the reason and what to do. */
export function unsupported({ node }: GradientContext, reason: string): never {
  throw new PupilError(
    'unsupported',
    `${node.name}: no gradient for ${node.op} (${reason}); freeze this block with \`freeze\``,
  );
}

/** The gradient of the only output that a rule looks at. */
export function outputGradient(context: GradientContext): Value {
  const dy = context.outputGradients[0];
  invariant(dy, `${context.node.name}: a gradient reached an output of ${context.node.op} that has no rule`);
  return dy;
}

/** Input `index`, which must be there. */
export function inputOf(context: GradientContext, index: number): Value {
  const value = context.inputs[index];
  invariant(value, `${context.node.name}: ${context.node.op} has no input ${index}`);
  return value;
}

/** Reshapes to `shape`; at most one of its sizes may be a name. */
export function reshapeTo(builder: GraphBuilder, value: Value, shape: Shape): Value {
  if (sameShape(value.shape, shape)) return value;
  invariant(
    shape.filter((dim) => typeof dim === 'string').length <= 1,
    `${value.name}: cannot reshape to ${formatShape(shape)}`,
  );
  return builder.op('Reshape', [value, builder.ints(shape.map((dim) => (typeof dim === 'string' ? -1 : dim)))], {});
}

/** Repeats `value` (of equal rank, with ones) to the shape of `like`. */
export function expandLike(builder: GraphBuilder, value: Value, like: Value): Value {
  if (sameShape(value.shape, like.shape)) return value;
  const dims = staticDims(like.shape);
  return builder.op('Expand', [value, dims ? builder.ints(dims) : builder.op('Shape', [like])]);
}

/** Zeros in the shape and type of `like`. */
export const zerosLike = (builder: GraphBuilder, like: Value): Value =>
  expandLike(
    builder,
    builder.constant({
      dtype: like.dtype,
      dims: like.shape.map(() => 1),
      data: like.dtype === 'float64' ? new Float64Array(1) : new Float32Array(1),
    }),
    like,
  );

/**
 * Sums a gradient of a broadcast shape back to `shape`: the one place where broadcasting is undone.
 */
export function sumTo(builder: GraphBuilder, gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const lead = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((dim, axis) =>
    axis < lead || (shape[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  if (axes.length === 0) return reshapeTo(builder, gradient, shape);
  const leading = axes.every((axis) => axis < lead) && axes.length === lead;
  const summed = builder.op('ReduceSum', [gradient, builder.ints(axes)], { keepdims: leading ? 0 : 1 });
  return reshapeTo(builder, summed, shape);
}

/** Sizes that a rule needs as numbers. */
export function dimsOf(context: GradientContext, value: Value): readonly number[] {
  return staticDims(value.shape) ?? unsupported(context, `its shape ${formatShape(value.shape)} is not fixed`);
}

/** One size as a number. */
export function dimOf(context: GradientContext, dim: Dim | undefined): number {
  return typeof dim === 'number' ? dim : unsupported(context, `a size ${String(dim)} is not fixed`);
}

/** The numbers of a constant input; undefined when it is absent. */
export function constantInts(context: GradientContext, index: number): number[] | undefined {
  const value = context.inputs[index];
  if (!value) return undefined;
  const constant = context.builder.constantOf(value);
  return constant ? numbersOf(constant) : unsupported(context, `its input ${index} is computed, not constant`);
}

/** `[0, 1, ..., count - 1]`. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
