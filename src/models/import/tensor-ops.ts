import { numberOf, textOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Attribute, Value } from '../../graph/graph.js';
import { typeCode } from '../../graph/element-types.js';
import { antialiased } from './antialias.js';
import type { Conversion, Converter } from './conversion.js';
import { sizeOf, type Tensor } from '../../tensor.js';
import type { Emitter } from './emitter.js';
import { constantNumbers, without } from './layers.js';

const list = (value: Attribute | undefined): readonly number[] | undefined =>
  Array.isArray(value) ? (value as readonly number[]) : undefined;

/** Integers that are an attribute in old opsets and an input in new ones, as a constant input. */
const asInput = ({ emitter, attributes }: Conversion, name: string): Value | undefined => {
  const value = list(attributes[name]);
  return value && emitter.builder.ints(value);
};

/** Throws when a node does not say what it must. */
function needed<T>(value: T | undefined, op: string, what: string): T {
  if (value === undefined) throw new Error(`${op} has no ${what}`);
  return value;
}

const positive = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** `axes` became an input in opset 13. */
const squeeze: Converter = (conversion) => {
  const { node, inputs, emitter } = conversion;
  return emitter.node(node.op, [inputs[0], inputs[1] ?? asInput(conversion, 'axes')]);
};

/** `split` became an input in opset 13, `num_outputs` came in 18 and allows a smaller last part. */
const split: Converter = (conversion) => {
  const { node, inputs, attributes, emitter, outputCount } = conversion;
  const x = inputs[0]!;
  const axis = positive(numberOf(attributes, 'axis', 0), x.shape.length);
  let sizes = inputs[1] ?? asInput(conversion, 'split');
  const count = numberOf(attributes, 'num_outputs', outputCount);
  const size = x.shape[axis];
  if (!sizes && typeof size === 'number') {
    const part = Math.ceil(size / count);
    sizes = emitter.builder.ints(Array.from({ length: count }, (_, i) => Math.min(part, size - i * part)));
  }
  if (!sizes)
    throw new PupilError(
      'unsupported',
      `${node.name}: splits along a size known only at run time; export the model with a fixed size there`,
    );
  return emitter.node('Split', [x, sizes], { axis }, count);
};

/**
 * Axes of ReduceSum are an input, those of the others an attribute; opset 18 made all of them
 * inputs.
 */
const reduce: Converter = (conversion) => {
  const { node, inputs, attributes, emitter } = conversion;
  const rank = inputs[0]!.shape.length;
  const given = inputs[1] ? constantNumbers(conversion, 1) : list(attributes.axes);
  if (inputs[1] && !given)
    throw new PupilError(
      'unsupported',
      `${node.name}: ${node.op} over axes that depend on the data; export the model again`,
    );
  const keepdims = numberOf(attributes, 'keepdims', 1);
  if ((!given || given.length === 0) && attributes.noop_with_empty_axes === 1) return [inputs[0]!];
  const axes =
    given && given.length > 0 ? given.map((axis) => positive(axis, rank)) : inputs[0]!.shape.map((_, i) => i);
  if (node.op === 'ReduceSum') return emitter.node(node.op, [inputs[0], emitter.builder.ints(axes)], { keepdims });
  return emitter.node(node.op, [inputs[0]], { axes, keepdims });
};

/** Starts, ends and axes became inputs in opset 10. */
const slice: Converter = (conversion) => {
  const { inputs, emitter, opset } = conversion;
  if (opset >= 10) return emitter.node('Slice', inputs);
  return emitter.node('Slice', [
    inputs[0],
    asInput(conversion, 'starts'),
    asInput(conversion, 'ends'),
    asInput(conversion, 'axes'),
  ]);
};

/** Pads became an input in opset 11; opset 18 allows to name the axes. */
const pad: Converter = (conversion) => {
  const { node, inputs, attributes, emitter, opset } = conversion;
  const x = inputs[0]!;
  const mode = textOf(attributes, 'mode', 'constant');
  if (opset < 11) {
    const value = attributes.value as number | undefined;
    return emitter.node('Pad', [x, asInput(conversion, 'pads'), value ? emitter.builder.scalar(value) : undefined], {
      mode,
    });
  }
  if (!inputs[3]) return emitter.node('Pad', inputs, { mode });
  const [pads, axes] = [constantNumbers(conversion, 1), constantNumbers(conversion, 3)];
  if (!pads || !axes)
    throw new PupilError('unsupported', `${node.name}: Pad by sizes that depend on the data; export the model again`);
  const rank = x.shape.length;
  const full = new Array<number>(2 * rank).fill(0);
  axes.forEach((axis, i) => {
    full[positive(axis, rank)] = pads[i]!;
    full[positive(axis, rank) + rank] = pads[i + axes.length]!;
  });
  return emitter.node('Pad', [x, emitter.builder.ints(full), inputs[2]], { mode });
};

/** `k` became an input in opset 10. */
const topK: Converter = ({ inputs, attributes, emitter, outputCount }) =>
  emitter.node(
    'TopK',
    [inputs[0], inputs[1] ?? emitter.builder.ints([needed(attributes.k as number | undefined, 'TopK', 'k')])],
    without(attributes, 'k'),
    Math.max(outputCount, 2),
  );

/** The target may have the batch size of a fixed-batch export baked in. */
const reshape: Converter = (conversion) => {
  const {
    inputs: [x, shape],
    attributes,
    emitter,
  } = conversion;
  const target = constantNumbers(conversion, 1) ?? list(attributes.shape);
  // Without zeros in the target, allowzero says nothing.
  const kept: Record<string, Attribute> =
    attributes.allowzero === 1 && (!target || target.includes(0)) ? { allowzero: 1 } : {};
  if (target && emitter.batch?.placeOf(x!)) {
    const open = emitter.batch.reshapeTarget(x!, target);
    if (!open) throw new Error(`a Reshape to [${target.join(', ')}] fixes the batch`);
    return emitter.node('Reshape', [x, emitter.builder.ints(open)]);
  }
  return emitter.node('Reshape', [x, shape ?? emitter.builder.ints(needed(target, 'Reshape', 'shape'))], kept);
};

/**
 * A Gather of everything in order, as a view by strides is written for a fixed batch, is a Reshape
 * to the shape of its indices.
 */
const gather: Converter = (conversion) => {
  const {
    node,
    inputs: [x, indices],
    attributes,
    emitter,
  } = conversion;
  const { batch } = emitter;
  const at = x!.shape.length === 1 && batch?.placeOf(x!) ? constantNumbers(conversion, 1) : undefined;
  if (at && at.length === batch!.inFile(x!.shape)[0] && at.every((index, i) => index === i)) {
    const target = batch!.reshapeTarget(x!, indices!.shape as number[]);
    if (target) return emitter.node('Reshape', [x, emitter.builder.ints(target)]);
  }
  return emitter.node(node.op, [x, indices], attributes);
};

/**
 * In a fixed-batch export, a token that is put before every image's own has to be repeated for
 * every image.
 */
const concat: Converter = ({ inputs, attributes, emitter }) => {
  const axis = positive(numberOf(attributes, 'axis', 1), inputs[0]!.shape.length);
  const { batch } = emitter;
  const batched = inputs.find((input) => batch?.placeOf(input!));
  const place = batched && batch?.placeOf(batched);
  if (!place || place.each !== 1) return emitter.node('Concat', inputs, { axis });
  return emitter.node(
    'Concat',
    inputs.map((input) => {
      if (batch!.placeOf(input!)) return input;
      const count = emitter.op('Slice', [
        emitter.op('Shape', [batched]),
        emitter.builder.ints([place.axis]),
        emitter.builder.ints([place.axis + 1]),
      ]);
      const sizes = input!.shape as readonly number[];
      const [before, after] = [sizes.slice(0, place.axis), sizes.slice(place.axis + 1)];
      const parts = [
        ...(before.length > 0 ? [emitter.builder.ints(before)] : []),
        count,
        ...(after.length > 0 ? [emitter.builder.ints(after)] : []),
      ];
      return emitter.op('Expand', [ofOneImage(emitter, input!, place.axis), emitter.op('Concat', parts, { axis: 0 })]);
    }),
    { axis },
  );
};

/** Of what a file with a fixed batch holds once for every image, that of one: size 1 along `axis`. */
function ofOneImage(emitter: Emitter, value: Value, axis: number): Value {
  const { batch, builder } = emitter;
  if (value.shape[axis] === 1 && batch!.size === 1) return value;
  const producer = emitter.producer(value);
  const source = producer?.op === 'Expand' ? builder.value(producer.inputs[0]!) : undefined;
  if (source?.shape.length === value.shape.length && source.shape[axis] === 1) return source;
  const t = builder.constantOf(value);
  const one = t && value.shape[axis] === batch!.size ? firstIfAllEqual(t, axis) : undefined;
  if (!one) throw new Error('it joins what fixes the batch');
  const fileName = emitter.weights.get(value.name);
  return fileName === undefined
    ? builder.constant(one, emitter.free(`${value.name}_one`))
    : emitter.stored(one, fileName, emitter.literals.has(value.name));
}

/** The first slice of a tensor along an axis, where all are the same. */
function firstIfAllEqual(t: Tensor, axis: number): Tensor | undefined {
  const count = t.dims[axis]!,
    length = sizeOf(t.dims.slice(axis + 1));
  const isSame = t.data.every((x, i) => x === t.data[i - (Math.floor(i / length) % count) * length]);
  if (!isSame) return undefined;
  const dims = t.dims.map((dim, i) => (i === axis ? 1 : dim));
  const first = Array.from({ length: sizeOf(dims) }, (_, i) => Math.floor(i / length) * length * count + (i % length));
  const data = new (t.data.constructor as new (size: number) => typeof t.data)(first.length);
  first.forEach((from, to) => (data[to] = t.data[from]!));
  return { ...t, dims, data };
}

/**
 * In a fixed-batch export, a size that carries the batch and is not expanded is written with the
 * batch baked in; 1 keeps it.
 */
const expand: Converter = (conversion) => {
  const {
    inputs: [x, shape],
    emitter,
  } = conversion;
  const { batch } = emitter;
  const place = batch?.placeOf(x!);
  const target = place && constantNumbers(conversion, 1);
  if (!target) return emitter.node('Expand', [x, shape]);
  const sizes = batch!.inFile(x!.shape);
  const at = place.axis + target.length - sizes.length;
  const kept = target.map((size, i) => (i === at && size === sizes[place.axis] ? 1 : size));
  return emitter.node('Expand', [x, kept.some((size, i) => size !== target[i]) ? emitter.builder.ints(kept) : shape]);
};

/** An operand that holds the same for each image of a fixed batch needs it once. */
const broadcasting: Converter = ({ node, inputs, attributes, emitter, outputCount }) => {
  const { batch } = emitter;
  const placed = batch && inputs.find((input) => input && batch.placeOf(input));
  if (!placed || batch.size === 1) return emitter.node(node.op, inputs, attributes, outputCount);
  const fromEnd = placed.shape.length - batch.placeOf(placed)!.axis;
  const operands = inputs.map((input) => {
    const isFixed = input && !batch.placeOf(input) && input.shape.at(-fromEnd) === batch.size;
    return isFixed && input.shape.length >= fromEnd ? ofOneImage(emitter, input, input.shape.length - fromEnd) : input;
  });
  return emitter.node(node.op, operands, attributes, outputCount);
};

/** All floats are float32 here. */
const cast: Converter = ({ inputs: [x], attributes, emitter }) => {
  const to = attributes.to as number;
  const floats = [typeCode('float16'), typeCode('bfloat16'), typeCode('float64')];
  return emitter.node('Cast', [x], { to: floats.includes(to) ? typeCode('float32') : to });
};

const castLike: Converter = ({ inputs: [x, like], emitter }) =>
  emitter.node('Cast', [x], { to: typeCode(like!.dtype) });

/** A Resize with antialiasing, between sizes that are known. */
function antialiasedResize(conversion: Conversion): Value {
  const { node, inputs, attributes, emitter } = conversion,
    x = inputs[0]!,
    rank = x.shape.length;
  const refuse = (what: string): never => {
    throw new PupilError(
      'unsupported',
      `${node.name}: Resize with antialias and ${what} is not supported; export the model without antialias`,
    );
  };
  const mode = textOf(attributes, 'mode', 'nearest'),
    coordinates = textOf(attributes, 'coordinate_transformation_mode', 'half_pixel');
  if ((mode !== 'linear' && mode !== 'cubic') || coordinates !== 'half_pixel') refuse(`${mode} by ${coordinates}`);
  const axes = list(attributes.axes) ?? x.shape.map((_, axis) => axis);
  const [scales, sizes] = [constantNumbers(conversion, 2), constantNumbers(conversion, 3)];
  const after: (number | undefined)[] = x.shape.map(() => undefined);
  axes.forEach((given, i) => {
    const axis = positive(given, rank),
      before = x.shape[axis];
    const isKept = sizes?.[i] === (emitter.batch?.inFile(x.shape)[axis] ?? before) || scales?.[i] === 1;
    if (isKept) return;
    const wanted = typeof before === 'number' ? (sizes?.[i] ?? before * (scales?.[i] ?? 0.5)) : 0.5;
    if (!Number.isInteger(wanted)) refuse('sizes known only at run time, or scales that leave a part of a pixel');
    after[axis] = wanted;
  });
  return antialiased(emitter, x, after, {
    mode,
    cubic: numberOf(attributes, 'cubic_coeff_a', -0.75),
    excludeOutside: attributes.exclude_outside === 1,
  });
}

/** Scales were the second input in opset 10; opset 18 brought axes and antialiasing. */
const resize: Converter = (conversion) => {
  const { attributes, emitter, opset } = conversion;
  // Scales are floats, which look like weights: computed from constants they are still constants.
  const inputs = conversion.inputs.map((input, i) => (i === 2 && input ? emitter.settled(input) : input));
  const [x] = inputs;
  if (attributes.antialias === 1) return [antialiasedResize({ ...conversion, inputs })];
  if (opset < 11) {
    return emitter.node('Resize', [x, null, inputs[1]], {
      mode: attributes.mode ?? 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    });
  }
  const kept = without(attributes, 'axes', 'antialias', 'keep_aspect_ratio_policy');
  const all = x!.shape.map((_, axis) => axis),
    axes = list(attributes.axes)?.map((axis) => positive(axis, all.length)) ?? all;
  const [scales, sizes] = [2, 3].map((index) => constantNumbers({ emitter, inputs }, index));
  const given = (values: readonly number[], axis: number): number | undefined => values[axes.indexOf(axis)];
  if (sizes && sizes.length > 0) {
    // Of a batch that is being freed the file says its own size.
    const batch = emitter.batch?.placeOf(x!)?.axis;
    const isBatch = (axis: number): boolean =>
      axis === batch && given(sizes, axis) === emitter.batch?.inFile(x!.shape)[axis];
    const wanted = all.map((axis) => (isBatch(axis) ? undefined : given(sizes, axis)));
    return emitter.node('Resize', [x, null, null, sizesOf(emitter, x!, wanted)], kept);
  }
  if (!scales || scales.length === 0 || axes.length === all.length) return emitter.node('Resize', inputs, kept);
  const factors = Float32Array.from(all, (axis) => given(scales, axis) ?? 1);
  const full = emitter.builder.constant({ dtype: 'float32', dims: [all.length], data: factors });
  return emitter.node('Resize', [x, null, full], kept);
};

/** The sizes wanted, where `undefined` keeps those of x, as integers. */
function sizesOf(emitter: Emitter, x: Value, wanted: readonly (number | undefined)[]): Value {
  const parts = wanted.map((size, axis) => {
    const known = size ?? x.shape[axis];
    return typeof known === 'number'
      ? emitter.builder.ints([known])
      : emitter.op('Shape', [x], { start: axis, end: axis + 1 });
  });
  return emitter.op('Concat', parts, { axis: 0 });
}

/** Upsample was Resize's name until opset 9. */
const upsample: Converter = ({ inputs: [x, scales], attributes, emitter }) => {
  const given = list(attributes.scales);
  const value =
    scales ?? emitter.builder.constant({ dtype: 'float32', dims: [given!.length], data: Float32Array.from(given!) });
  return emitter.node('Resize', [x, null, value], {
    mode: attributes.mode ?? 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
};

/** Scatter was ScatterElements' name until opset 11. */
const scatter: Converter = ({ inputs, attributes, emitter }) => emitter.node('ScatterElements', inputs, attributes);

const reductions = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSum',
  'ReduceSumSquare',
];

export const tensorConverters: Readonly<Record<string, Converter>> = {
  ...Object.fromEntries(reductions.map((op) => [op, reduce])),
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'Where'].map((op) => [op, broadcasting])),
  Squeeze: squeeze,
  Unsqueeze: squeeze,
  Split: split,
  Slice: slice,
  Pad: pad,
  TopK: topK,
  Reshape: reshape,
  Gather: gather,
  Concat: concat,
  Expand: expand,
  Cast: cast,
  CastLike: castLike,
  Resize: resize,
  Upsample: upsample,
  Scatter: scatter,
};
