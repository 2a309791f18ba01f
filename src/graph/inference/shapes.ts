import { listOf, numberOf } from '../attributes.js';
import { formatShape, type Dim } from '../graph.js';
import type { InferenceContext, InferenceRule } from './rule.js';
import { axisOf, broadcastShapes, constantNumbers, fail, mayEqual, need, sameType, unknownDim } from './common.js';
import { addDims, divideDims, divideExactly, multiplyDims, productOf, subtractDims } from './dims.js';

/** Integers that the op needs to know: a constant, or what follows from sizes. */
const known = (context: InferenceContext, index: number, what: string): readonly Dim[] =>
  context.integers(index)?.elements ??
  fail(context, `has ${what} that depends on the data (${context.inputs[index]?.name ?? 'absent'})`);

const numbers = (context: InferenceContext, index: number, what: string): readonly number[] => {
  const elements = known(context, index, what);
  return elements.every((element) => typeof element === 'number')
    ? elements
    : fail(context, `has ${what} that depends on a size known only at run time: ${elements.join(', ')}`);
};

const reshape: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const target = known(context, 1, 'a target shape');
  const allowZero = numberOf(context.attributes, 'allowzero', 0) === 1;
  const out = target.map((dim, i) =>
    dim === 0 && !allowZero ? (shape[i] ?? fail(context, `copies axis ${i} of ${formatShape(shape)}`)) : dim,
  );
  const open = out.indexOf(-1);
  const size = productOf(shape);
  if (open >= 0) {
    const rest = productOf(out.filter((_, i) => i !== open));
    out[open] =
      divideExactly(size, rest) ??
      (typeof size === 'number' && typeof rest === 'number'
        ? fail(context, `cannot turn ${formatShape(shape)} into ${formatShape(target)}`)
        : divideDims(size, rest));
  } else if (!mayEqual(productOf(out), size)) {
    fail(context, `cannot turn ${formatShape(shape)} into ${formatShape(target)}`);
  }
  return [{ dtype, shape: out }];
};

const transpose: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const perm = listOf(context.attributes, 'perm') ?? shape.map((_, i) => shape.length - 1 - i);
  if (perm.length !== shape.length) fail(context, `has perm [${perm.join(', ')}] for ${formatShape(shape)}`);
  return [{ dtype, shape: perm.map((axis) => shape[axisOf(context, axis, shape.length)]!) }];
};

const flatten: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const axis = numberOf(context.attributes, 'axis', 1);
  const at = axis < 0 ? axis + shape.length : axis;
  return [{ dtype, shape: [productOf(shape.slice(0, at)), productOf(shape.slice(at))] }];
};

const squeeze: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const given = context.inputs[1]
    ? (constantNumbers(context, 1) ?? fail(context, 'needs constant axes'))
    : listOf(context.attributes, 'axes');
  const axes = new Set(
    given
      ? given.map((axis) => axisOf(context, axis, shape.length))
      : shape.flatMap((dim, i) => (dim === 1 ? [i] : [])),
  );
  for (const axis of axes)
    if (!mayEqual(shape[axis]!, 1)) fail(context, `cannot drop axis ${axis} of ${formatShape(shape)}`);
  return [{ dtype, shape: shape.filter((_, i) => !axes.has(i)) }];
};

const unsqueeze: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const axes = context.inputs[1] ? constantNumbers(context, 1) : listOf(context.attributes, 'axes');
  if (!axes) return fail(context, 'needs constant axes');
  const rank = shape.length + axes.length;
  const added = new Set(axes.map((axis) => axisOf(context, axis, rank)));
  const rest = [...shape];
  return [{ dtype, shape: Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : rest.shift()!)) }];
};

const concat: InferenceRule = (context) => {
  const first = need(context, 0);
  const axis = axisOf(context, numberOf(context.attributes, 'axis', 0), first.shape.length);
  const shape = [...first.shape];
  let total: Dim = 0;
  for (const [index] of context.inputs.entries()) {
    const other = need(context, index).shape;
    if (other.length !== shape.length || other.some((dim, i) => i !== axis && !mayEqual(dim, shape[i]!))) {
      fail(
        context,
        `cannot join ${context.inputs.map((v) => formatShape(v?.shape ?? [])).join(', ')} along axis ${axis}`,
      );
    }
    total = addDims(total, other[axis]!);
  }
  shape[axis] = total;
  return [{ dtype: sameType(context), shape }];
};

const split: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const axis = axisOf(context, numberOf(context.attributes, 'axis', 0), shape.length);
  const size = shape[axis]!;
  let sizes: readonly Dim[] | undefined = context.inputs[1]
    ? numbers(context, 1, 'a split')
    : listOf(context.attributes, 'split');
  if (!sizes) {
    const count = numberOf(context.attributes, 'num_outputs', context.outputCount ?? 0);
    if (count < 1) fail(context, 'says neither its sizes nor how many outputs it has');
    const part = divideDims(size, count, 'ceil');
    sizes = Array.from({ length: count }, (_, i) =>
      i < count - 1 ? part : subtractDims(size, multiplyDims(part, count - 1)),
    );
  }
  if (!mayEqual(sizes.reduce(addDims, 0), size))
    fail(context, `into ${sizes.join(', ')} does not fit axis ${axis} of ${formatShape(shape)}`);
  return sizes.map((part) => ({ dtype, shape: shape.map((dim, i) => (i === axis ? part : dim)) }));
};

const slice: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const starts = known(context, 1, 'starts');
  const ends = known(context, 2, 'ends');
  const axes = context.inputs[3] ? numbers(context, 3, 'axes') : starts.map((_, i) => i);
  const steps = context.inputs[4] ? numbers(context, 4, 'steps') : starts.map(() => 1);
  const out = [...shape];
  axes.forEach((given, i) => {
    const axis = axisOf(context, given, shape.length);
    out[axis] = sliced(context, shape[axis]!, starts[i]!, ends[i]!, steps[i]!);
  });
  return [{ dtype, shape: out }];
};

/** ceil((end - start) / step), each end counted from the back when negative and kept inside. */
function sliced(context: InferenceContext, size: Dim, start: Dim, end: Dim, step: number): Dim {
  if (step === 0) return fail(context, 'has a step of 0');
  if (typeof size === 'number' && typeof start === 'number' && typeof end === 'number') {
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const from = Math.min(Math.max(start < 0 ? start + size : start, step > 0 ? 0 : 0), high);
    const to = Math.min(Math.max(end < 0 ? end + size : end, low), high);
    const last = step < 0 && end < -size ? -1 : to;
    return Math.max(Math.ceil((last - from) / step), 0);
  }
  if (step < 0) return start === -1 && typeof end === 'number' && end < -(2 ** 30) ? size : unknownDim(context);
  const from = typeof start === 'number' && start < 0 ? addDims(size, start) : start;
  // A very large end means "to the end".
  const to =
    end === size || (typeof end === 'number' && end > 2 ** 30)
      ? size
      : typeof end === 'number' && end < 0
        ? addDims(size, end)
        : end;
  return divideDims(subtractDims(to, from), step, 'ceil');
}

const gather: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const axis = axisOf(context, numberOf(context.attributes, 'axis', 0), shape.length);
  return [{ dtype, shape: [...shape.slice(0, axis), ...need(context, 1).shape, ...shape.slice(axis + 1)] }];
};

const gatherND: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const indices = need(context, 1).shape;
  const depth = indices.at(-1);
  const batch = numberOf(context.attributes, 'batch_dims', 0);
  if (typeof depth !== 'number') return fail(context, `needs indices of a fixed depth, got ${formatShape(indices)}`);
  return [{ dtype, shape: [...indices.slice(0, -1), ...shape.slice(batch + depth)] }];
};

const expand: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  return [{ dtype, shape: broadcastShapes(context, [shape, known(context, 1, 'a shape')]) }];
};

const pad: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const pads = context.inputs[1]
    ? known(context, 1, 'pads')
    : (listOf(context.attributes, 'pads') ?? fail(context, 'has no pads'));
  const axes = context.inputs[3]
    ? numbers(context, 3, 'axes').map((axis) => axisOf(context, axis, shape.length))
    : shape.map((_, i) => i);
  if (pads.length !== 2 * axes.length) fail(context, `has ${pads.length} pads for ${axes.length} axes`);
  const out = [...shape];
  axes.forEach((axis, i) => {
    out[axis] = addDims(addDims(shape[axis]!, pads[i]!), pads[i + axes.length]!);
  });
  return [{ dtype, shape: out }];
};

const tile: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const repeats = known(context, 1, 'repeats');
  return [{ dtype, shape: shape.map((dim, i) => multiplyDims(dim, repeats[i] ?? 1)) }];
};

const shapeOf: InferenceRule = (context) => {
  const { shape } = need(context, 0);
  const end = context.attributes.end;
  return [
    {
      dtype: 'int64',
      shape: [shape.slice(numberOf(context.attributes, 'start', 0), typeof end === 'number' ? end : undefined).length],
    },
  ];
};

const constantOfShape: InferenceRule = (context) => {
  const value = context.attributes.value;
  return [
    {
      dtype: typeof value === 'object' && 'dtype' in value ? value.dtype : 'float32',
      shape: known(context, 0, 'a shape'),
    },
  ];
};

const range: InferenceRule = (context) => {
  const [start, limit, delta] = [0, 1, 2].map((index) => context.integers(index)?.elements[0]);
  const { dtype } = need(context, 0);
  if (start === undefined || limit === undefined || typeof delta !== 'number')
    return [{ dtype, shape: [unknownDim(context)] }];
  const span = subtractDims(limit, start);
  return [
    {
      dtype,
      shape: [typeof span === 'number' ? Math.max(Math.ceil(span / delta), 0) : divideDims(span, delta, 'ceil')],
    },
  ];
};

const oneHot: InferenceRule = (context) => {
  const indices = need(context, 0).shape;
  const [depth] = known(context, 1, 'a depth');
  const axis = numberOf(context.attributes, 'axis', -1);
  const at = axis < 0 ? axis + indices.length + 1 : axis;
  return [{ dtype: need(context, 2).dtype, shape: [...indices.slice(0, at), depth!, ...indices.slice(at)] }];
};

const resize: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  const sizes = context.inputs[3] && known(context, 3, 'sizes');
  if (sizes && sizes.length > 0) return [{ dtype, shape: sizes }];
  const scales = constantNumbers(context, 2) ?? fail(context, 'needs constant scales or sizes');
  return [
    {
      dtype,
      shape: shape.map((dim, i) => {
        const scale = scales[i] ?? 1;
        if (typeof dim === 'number') return Math.floor(dim * scale);
        return Number.isInteger(scale)
          ? multiplyDims(dim, scale)
          : fail(context, `scales ${formatShape(shape)} by ${scale}; fix the image size`);
      }),
    },
  ];
};

/** depth / block^2 channels, sizes times block; and the other way round. */
const depthToSpace: InferenceRule = (context) => {
  const {
    dtype,
    shape: [n, c, h, w],
  } = need(context, 0);
  const block = numberOf(context.attributes, 'blocksize', 1);
  return [{ dtype, shape: [n!, divideDims(c!, block * block), multiplyDims(h!, block), multiplyDims(w!, block)] }];
};
const spaceToDepth: InferenceRule = (context) => {
  const {
    dtype,
    shape: [n, c, h, w],
  } = need(context, 0);
  const block = numberOf(context.attributes, 'blocksize', 1);
  return [{ dtype, shape: [n!, multiplyDims(c!, block * block), divideDims(h!, block), divideDims(w!, block)] }];
};

const likeIndices: InferenceRule = (context) => [{ dtype: need(context, 0).dtype, shape: need(context, 1).shape }];
const scatter: InferenceRule = (context) => [{ dtype: need(context, 0).dtype, shape: need(context, 0).shape }];
const size: InferenceRule = () => [{ dtype: 'int64', shape: [] }];

const nonZero: InferenceRule = (context) => [
  { dtype: 'int64', shape: [need(context, 0).shape.length, unknownDim(context)] },
];

const eyeLike: InferenceRule = (context) => [{ dtype: need(context, 0).dtype, shape: need(context, 0).shape }];

export const shapeRules: ReadonlyMap<string, InferenceRule> = new Map<string, InferenceRule>([
  ['Reshape', reshape],
  ['Transpose', transpose],
  ['Flatten', flatten],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Concat', concat],
  ['Split', split],
  ['Slice', slice],
  ['Gather', gather],
  ['GatherND', gatherND],
  ['GatherElements', likeIndices],
  ['ScatterElements', scatter],
  ['ScatterND', scatter],
  ['Expand', expand],
  ['Pad', pad],
  ['Tile', tile],
  ['Shape', shapeOf],
  ['Size', size],
  ['ConstantOfShape', constantOfShape],
  ['Range', range],
  ['OneHot', oneHot],
  ['Resize', resize],
  ['DepthToSpace', depthToSpace],
  ['SpaceToDepth', spaceToDepth],
  ['NonZero', nonZero],
  ['EyeLike', eyeLike],
]);
