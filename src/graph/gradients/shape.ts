import { axisOf, fromFront, listOf, numberOf, textOf } from '../attributes.js';
import { int64, numbersOf, tensor } from '../../tensor.js';
import { resizeMatrix } from '../evaluate/resampling.js';
import type { Attributes, Value } from '../graph.js';
import type { GradientContext, GradientRule, GradientTable } from '../gradients.js';
import {
  constantInts,
  dimOf,
  dimsOf,
  expandLike,
  inputOf,
  outputGradient,
  range,
  reshapeTo,
  unsupported,
  zerosLike,
} from './common.js';
import { math } from '../math.js';

/** Elements stay in order: dy in the shape of x. */
const reshaped: GradientRule = (context) => {
  const { builder } = context,
    dy = outputGradient(context),
    x = inputOf(context, 0);
  if (x.shape.filter((dim) => typeof dim === 'string').length <= 1) return [reshapeTo(builder, dy, x.shape)];
  return [builder.op('Reshape', [dy, builder.op('Shape', [x])])];
};

/** Zeros before and after along one axis. */
function padAxis({ builder }: GradientContext, x: Value, axis: number, before: number, after: number): Value {
  if (before === 0 && after === 0) return x;
  const pads = new Array<number>(x.shape.length * 2).fill(0);
  pads[axis] = before;
  pads[axis + x.shape.length] = after;
  return builder.op('Pad', [x, builder.ints(pads)]);
}

/** The part [start, end) along one axis. */
const sliceAxis = ({ builder }: GradientContext, x: Value, axis: number, start: number, end: number): Value =>
  builder.op('Slice', [x, builder.ints([start]), builder.ints([end]), builder.ints([axis])]);

/** Backwards along an axis of `count` elements. */
const reversed = ({ builder }: GradientContext, x: Value, axis: number, count: number): Value =>
  builder.op('Slice', [x, builder.ints([-1]), builder.ints([-count - 1]), builder.ints([axis]), builder.ints([-1])]);

/** Elements start, start + step, ... of an axis of `size`. */
interface Picked {
  readonly axis: number;
  readonly size: number;
  readonly start: number;
  readonly step: number;
}

/** Puts the elements of dy back in their places on an axis of zeros. */
function unslice(context: GradientContext, dy: Value, picked: Picked): Value {
  const { axis, size, start, step } = picked;
  const { builder } = context,
    count = dimOf(context, dy.shape[axis]);
  if (step < 0) {
    const last = start + step * (count - 1);
    return unslice(context, reversed(context, dy, axis, count), { axis, size, start: last, step: -step });
  }
  if (step === 1) return padAxis(context, dy, axis, start, size - start - count);
  // [..., count, ...] -> [..., count, step, ...] with zeros after each element -> [..., count *
  // step, ...]
  const spaced = padAxis(context, builder.op('Unsqueeze', [dy, builder.ints([axis + 1])]), axis + 1, 0, step - 1);
  const flat = reshapeTo(
    builder,
    spaced,
    dy.shape.map((dim, i) => (i === axis ? count * step : dim)),
  );
  const room = size - start,
    length = Math.min(room, count * step);
  const fitted = length < count * step ? sliceAxis(context, flat, axis, 0, length) : flat;
  return padAxis(context, fitted, axis, start, room - length);
}

const slice: GradientRule = (context) => {
  const x = inputOf(context, 0),
    rank = x.shape.length;
  const starts = constantInts(context, 1)!,
    axes = constantInts(context, 3) ?? range(starts.length),
    steps = constantInts(context, 4) ?? starts.map(() => 1);
  let dy = outputGradient(context);
  axes.forEach((given, i) => {
    const axis = fromFront(given, rank),
      step = steps[i]!;
    if (x.shape[axis] === dy.shape[axis] && step === 1) return;
    const size = dimOf(context, x.shape[axis]),
      first = starts[i]! < 0 ? starts[i]! + size : starts[i]!,
      start = Math.max(0, Math.min(step > 0 ? size : size - 1, first));
    dy = unslice(context, dy, { axis, size, start, step });
  });
  return [dy];
};

/**
 * dx[..., indices[k], ...] += dy[..., k, ...]: a pad for one index or a run of them, else a sum by
 * ScatterElements.
 */
const gather: GradientRule = (context) => {
  const { builder } = context,
    x = inputOf(context, 0),
    indices = inputOf(context, 1),
    dy = outputGradient(context);
  const axis = axisOf(context.attributes, x.shape.length, 0),
    size = dimOf(context, x.shape[axis]);
  const constant = builder.constantOf(indices);
  const list = constant && numbersOf(constant).map((index) => fromFront(index, size));
  const count = indices.shape.reduce<number>((product, dim) => product * dimOf(context, dim), 1);
  const flat = reshapeTo(
    builder,
    dy,
    x.shape.map((dim, i) => (i === axis ? count : dim)),
  );
  if (list?.every((index, i) => index === list[0]! + i))
    return [padAxis(context, flat, axis, list[0] ?? 0, size - count - (list[0] ?? 0)), 'zero'];
  const column = x.shape.map((_, i) => (i === axis ? count : 1));
  const places = list ? builder.constant(int64(column, list)) : reshapeTo(builder, indices, column);
  return [
    builder.op('ScatterElements', [zerosLike(builder, x), expandLike(builder, places, flat), flat], {
      axis,
      reduction: 'add',
    }),
    'zero',
  ];
};

/**
 * Along each padded axis of n elements, what was repeated in the padding is added to where it was
 * read: at the first and the last (`edge`), or mirrored at 1, 2... and n - 2, n - 3... (`reflect`).
 */
function withRepeated(context: GradientContext, pads: readonly number[], mode: 'edge' | 'reflect'): Value {
  const { builder } = context,
    c = math(builder),
    x = inputOf(context, 0),
    rank = x.shape.length;
  let dx = outputGradient(context);
  for (const axis of range(rank)) {
    const [before, after] = [pads[axis]!, pads[axis + rank]!];
    if (before === 0 && after === 0) continue;
    const size = dimOf(context, x.shape[axis]);
    if (before < 0 || after < 0 || (mode === 'reflect' && Math.max(before, after) >= size))
      unsupported(context, `mode ${mode} by ${before} and ${after} of ${size} elements`);
    const dy = dx;
    const folded = (start: number, count: number): Value => {
      const part = sliceAxis(context, dy, axis, start, start + count);
      if (mode === 'edge') return c.sum(part, [axis]);
      return count === 1 ? part : reversed(context, part, axis, count);
    };
    dx = sliceAxis(context, dy, axis, before, before + size);
    if (before > 0) {
      const part = folded(0, before),
        length = mode === 'edge' ? 1 : before,
        at = mode === 'edge' ? 0 : 1;
      dx = c.add(dx, padAxis(context, part, axis, at, size - at - length));
    }
    if (after > 0) {
      const part = folded(before + size, after),
        length = mode === 'edge' ? 1 : after,
        at = mode === 'edge' ? size - 1 : size - 1 - after;
      dx = c.add(dx, padAxis(context, part, axis, at, size - at - length));
    }
  }
  return dx;
}

const pad: GradientRule = (context) => {
  const { builder } = context,
    x = inputOf(context, 0),
    rank = x.shape.length,
    dy = outputGradient(context);
  const mode = textOf(context.attributes, 'mode', 'constant');
  const given = constantInts(context, 1)!,
    axes = constantInts(context, 3)?.map((axis) => fromFront(axis, rank)) ?? range(rank);
  const pads = new Array<number>(rank * 2).fill(0);
  axes.forEach((axis, i) => {
    pads[axis] = given[i]!;
    pads[axis + rank] = given[i + axes.length]!;
  });
  if (mode === 'edge' || mode === 'reflect') return [withRepeated(context, pads, mode)];
  if (mode !== 'constant') unsupported(context, `mode ${mode}; supported: constant, edge, reflect`);
  let dx = dy;
  const cut = range(rank).filter((axis) => pads[axis]! > 0 || pads[axis + rank]! > 0);
  if (cut.length > 0) {
    const starts = cut.map((axis) => Math.max(0, pads[axis]!));
    const ends = cut.map((axis) => dimOf(context, dy.shape[axis]) - Math.max(0, pads[axis + rank]!));
    dx = builder.op('Slice', [dx, builder.ints(starts), builder.ints(ends), builder.ints(cut)]);
  }
  for (const axis of range(rank))
    dx = padAxis(context, dx, axis, Math.max(0, -pads[axis]!), Math.max(0, -pads[axis + rank]!));
  const constant = context.inputs[2];
  if (!constant || !context.needs(2)) return [dx];
  return unsupported(context, 'its fill value is trained');
};

const concat: GradientRule = (context) => {
  const { builder, inputs } = context,
    dy = outputGradient(context);
  const axis = axisOf(context.attributes, dy.shape.length, 0);
  if (inputs.length === 1) return [dy];
  const sizes = inputs.map((input) => dimOf(context, input!.shape[axis]));
  if (inputs.filter((_, index) => context.needs(index)).length === 1) {
    // only one part is wanted
    const index = inputs.findIndex((_, i) => context.needs(i)),
      start = sizes.slice(0, index).reduce((a, b) => a + b, 0);
    return inputs.map((_, i) => (i === index ? sliceAxis(context, dy, axis, start, start + sizes[index]!) : undefined));
  }
  return builder.node('Split', [dy, builder.ints(sizes)], { axis }, { outputs: sizes.length });
};

const split: GradientRule = (context) => {
  const { builder, outputs, outputGradients } = context,
    axis = axisOf(context.attributes, outputs[0]!.shape.length, 0);
  const parts = outputs.map((output, i) => outputGradients[i] ?? zerosLike(builder, output));
  return [builder.op('Concat', parts, { axis }), 'zero'];
};

const tile: GradientRule = (context) => {
  const { builder } = context,
    c = math(builder),
    x = inputOf(context, 0),
    repeats = constantInts(context, 1)!;
  const folded = reshapeTo(
    builder,
    outputGradient(context),
    x.shape.flatMap((dim, axis) => [repeats[axis]!, dim]),
  );
  return [
    c.sum(
      folded,
      repeats.map((_, axis) => axis * 2),
      false,
    ),
    'zero',
  ];
};

/**
 * A Resize multiplies each axis by a fixed matrix; its gradient multiplies by the transposed
 * matrices.
 */
const resize: GradientRule = (context) => {
  const { builder, attributes } = context,
    x = inputOf(context, 0),
    rank = x.shape.length;
  const scales = constantInts(context, 2),
    sizes = constantInts(context, 3);
  const axes = listOf(attributes, 'axes')?.map((axis) => fromFront(axis, rank)) ?? range(rank);
  if (
    attributes.coordinate_transformation_mode === 'tf_crop_and_resize' ||
    numberOf(context.attributes, 'antialias', 0) !== 0
  ) {
    unsupported(context, 'with cropping or antialiasing');
  }
  let dx = outputGradient(context);
  axes.forEach((axis, i) => {
    const output = dx.shape[axis]!,
      input = x.shape[axis]!;
    if (output === input && (sizes || scales?.[i] === 1)) return;
    if (axis < rank - 2) unsupported(context, 'along an axis that is not height or width');
    const size = dimOf(context, input),
      count = dimOf(context, output);
    const { data } = resizeMatrix(size, count, scales?.length ? scales[i]! : count / size, attributes);
    const matrix = (dims: number[], at: (r: number, k: number) => number): Value =>
      builder.constant(
        tensor(
          'float32',
          dims,
          Float32Array.from({ length: size * count }, (_, e) => at(Math.floor(e / dims[1]!), e % dims[1]!)),
        ),
      );
    dx =
      axis === rank - 1
        ? builder.op('MatMul', [dx, matrix([count, size], (r, k) => data[r * size + k]!)])
        : builder.op('MatMul', [matrix([size, count], (k, r) => data[r * size + k]!), dx]);
  });
  return [dx];
};

const depthToSpace: GradientRule = (context) => {
  const { builder } = context,
    dy = outputGradient(context),
    blocksize = numberOf(context.attributes, 'blocksize', 1);
  if ((context.attributes.mode ?? 'DCR') === 'DCR') return [builder.op('SpaceToDepth', [dy], { blocksize })];
  const [n, c, h, w] = dimsOf(context, inputOf(context, 0)) as [number, number, number, number];
  const split = reshapeTo(builder, dy, [n, c / blocksize ** 2, h, blocksize, w, blocksize]);
  return [reshapeTo(builder, math(builder).transpose(split, [0, 1, 3, 5, 2, 4]), [n, c, h, w])];
};

/**
 * Scattering: what was overwritten gets no gradient, what was added to keeps it; updates read
 * theirs where they were put.
 */
const scatter =
  (read: 'GatherElements' | 'GatherND', write: 'ScatterElements' | 'ScatterND'): GradientRule =>
  (context) => {
    const { builder } = context,
      dy = outputGradient(context),
      indices = inputOf(context, 1),
      updates = inputOf(context, 2);
    const reduction = context.attributes.reduction ?? 'none';
    if (reduction !== 'none' && reduction !== 'add')
      unsupported(context, `reduction ${reduction as string}; supported: none, add`);
    const axis: Attributes = read === 'GatherElements' ? { axis: numberOf(context.attributes, 'axis', 0) } : {};
    return [
      !context.needs(0)
        ? undefined
        : reduction === 'add'
          ? dy
          : builder.op(write, [dy, indices, zerosLike(builder, updates)], axis),
      'zero',
      context.needs(2) ? builder.op(read, [dy, indices], axis) : undefined,
    ];
  };

/** Ops that move elements. */
export const shape: GradientTable = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: (context) => {
    const rank = inputOf(context, 0).shape.length;
    const perm = listOf(context.attributes, 'perm') ?? range(rank).reverse();
    return [
      math(context.builder).transpose(
        outputGradient(context),
        range(rank).map((axis) => perm.indexOf(axis)),
      ),
    ];
  },
  Expand: (context) => [outputGradient(context), 'zero'],
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Tile: tile,
  Gather: gather,
  Resize: resize,
  GatherElements: (context) => {
    const { builder } = context,
      axis = numberOf(context.attributes, 'axis', 0);
    const zeros = zerosLike(builder, inputOf(context, 0));
    return [
      builder.op('ScatterElements', [zeros, inputOf(context, 1), outputGradient(context)], { axis, reduction: 'add' }),
      'zero',
    ];
  },
  GatherND: (context) => {
    if (numberOf(context.attributes, 'batch_dims', 0) !== 0) unsupported(context, 'batch_dims other than 0');
    const { builder } = context,
      zeros = zerosLike(builder, inputOf(context, 0));
    return [
      builder.op('ScatterND', [zeros, inputOf(context, 1), outputGradient(context)], { reduction: 'add' }),
      'zero',
    ];
  },
  ScatterElements: scatter('GatherElements', 'ScatterElements'),
  ScatterND: scatter('GatherND', 'ScatterND'),
  DepthToSpace: depthToSpace,
  SpaceToDepth: (context) => [
    context.builder.op('DepthToSpace', [outputGradient(context)], {
      blocksize: numberOf(context.attributes, 'blocksize', 1),
      mode: 'DCR',
    }),
  ],
  Trilu: (context) => [
    context.builder.op('Trilu', [outputGradient(context), context.inputs[1] ?? null], {
      upper: numberOf(context.attributes, 'upper', 1),
    }),
    'zero',
  ],
  Shape: 'none',
  Size: 'none',
  ConstantOfShape: 'none',
  Constant: 'none',
  Range: 'none',
  OneHot: 'none',
  NonZero: 'none',
  EyeLike: 'none',
};
