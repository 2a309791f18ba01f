import { numberOf, textOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Attribute, Value } from '../../graph/graph.js';
import { evaluateDim } from '../../graph/inference/dims.js';
import { typeCode } from '../../graph/element-types.js';
import { unbakeReshape } from './batch.js';
import type { Conversion, Converter } from './conversion.js';
import { constantNumbers, without } from './layers.js';

const list = (value: Attribute | undefined): readonly number[] | undefined =>
  Array.isArray(value) ? (value as readonly number[]) : undefined;

/** Integers that are an attribute in old opsets and an input in new ones, as a constant input. */
const asInput = ({ emitter, attributes }: Conversion, name: string): Value | undefined => {
  const value = list(attributes[name]);
  return value && emitter.builder.ints(value);
};

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
    [inputs[0], inputs[1] ?? emitter.builder.ints([attributes.k as number])],
    without(attributes, 'k'),
    Math.max(outputCount, 2),
  );

/** The target may have the batch size of a fixed-batch export baked in. */
const reshape: Converter = (conversion) => {
  const {
    inputs: [x, shape],
    attributes,
    emitter,
    bakedBatch,
  } = conversion;
  const target = constantNumbers(conversion, 1) ?? list(attributes.shape);
  // Without zeros in the target, allowzero says nothing.
  const kept: Record<string, Attribute> =
    attributes.allowzero === 1 && (!target || target.includes(0)) ? { allowzero: 1 } : {};
  if (target && bakedBatch !== undefined && x!.shape.some((dim) => typeof dim === 'string')) {
    const open = unbakeReshape(x!, target, bakedBatch);
    if (!open) throw new Error(`${conversion.node.name}: a Reshape to [${target.join(', ')}] fixes the batch`);
    return emitter.node('Reshape', [x, emitter.builder.ints(open)]);
  }
  return emitter.node('Reshape', [x, shape ?? emitter.builder.ints(target!)], kept);
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
    bakedBatch,
  } = conversion;
  const [length] = x!.shape;
  const at =
    bakedBatch !== undefined && x!.shape.length === 1 && typeof length === 'string'
      ? constantNumbers(conversion, 1)
      : undefined;
  if (at && at.length === evaluateDim(length!, { N: bakedBatch! }) && at.every((index, i) => index === i)) {
    const target = unbakeReshape(x!, indices!.shape as number[], bakedBatch!);
    if (target) return emitter.node('Reshape', [x, emitter.builder.ints(target)]);
  }
  return emitter.node(node.op, [x, indices], attributes);
};

/**
 * In a fixed-batch export, a token that is put before every image's own has to be repeated for
 * every image.
 */
const concat: Converter = ({ node, inputs, attributes, emitter, bakedBatch }) => {
  const batched = inputs.find((input) => typeof input!.shape[0] === 'string');
  const axis = positive(numberOf(attributes, 'axis', 1), inputs[0]!.shape.length);
  if (bakedBatch === undefined || !batched || axis === 0) return emitter.node('Concat', inputs, { axis });
  return emitter.node(
    'Concat',
    inputs.map((input) => {
      if (typeof input!.shape[0] === 'string') return input;
      const producer = emitter.producer(input!);
      const source = producer?.op === 'Expand' ? emitter.builder.value(producer.inputs[0]!) : input!;
      const [first, ...rest] = input!.shape;
      if (source.shape.length !== input!.shape.length || source.shape[0] !== 1 || first !== bakedBatch)
        throw new Error(`${node.name}: a Concat fixes the batch`);
      const batch = emitter.op('Slice', [
        emitter.op('Shape', [batched]),
        emitter.builder.ints([0]),
        emitter.builder.ints([1]),
      ]);
      return emitter.op('Expand', [
        source,
        emitter.op('Concat', [batch, emitter.builder.ints(rest as number[])], { axis: 0 }),
      ]);
    }),
    { axis },
  );
};

/**
 * In a fixed-batch export, a size that carries the batch and is not expanded is written with the
 * batch baked in; 1 keeps it.
 */
const expand: Converter = (conversion) => {
  const {
    inputs: [x, shape],
    emitter,
    bakedBatch,
  } = conversion;
  const target = bakedBatch === undefined ? undefined : constantNumbers(conversion, 1);
  if (!target) return emitter.node('Expand', [x, shape]);
  const kept = target.map((size, i) => {
    const dim = x!.shape[i - target.length + x!.shape.length];
    return typeof dim === 'string' && evaluateDim(dim, { N: bakedBatch! }) === size ? 1 : size;
  });
  return emitter.node('Expand', [x, kept.some((size, i) => size !== target[i]) ? emitter.builder.ints(kept) : shape]);
};

/** All floats are float32 here. */
const cast: Converter = ({ inputs: [x], attributes, emitter }) => {
  const to = attributes.to as number;
  const floats = [typeCode('float16'), typeCode('bfloat16'), typeCode('float64')];
  return emitter.node('Cast', [x], { to: floats.includes(to) ? typeCode('float32') : to });
};

const castLike: Converter = ({ inputs: [x, like], emitter }) =>
  emitter.node('Cast', [x], { to: typeCode(like!.dtype) });

/** Scales were the second input in opset 10; opset 18 brought axes and antialiasing. */
const resize: Converter = (conversion) => {
  const { node, attributes, emitter, opset } = conversion;
  // Scales are floats, which look like weights: computed from constants they are still constants.
  const inputs = conversion.inputs.map((input, i) => (i === 2 && input ? emitter.settled(input) : input));
  const [x] = inputs;
  if (attributes.antialias === 1)
    throw new PupilError(
      'unsupported',
      `${node.name}: Resize with antialias is not supported; export the model without it`,
    );
  if (opset < 11) {
    return emitter.node('Resize', [x, null, inputs[1]], {
      mode: attributes.mode ?? 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    });
  }
  const axes = list(attributes.axes);
  const kept = without(attributes, 'axes', 'antialias', 'keep_aspect_ratio_policy');
  if (!axes || axes.length === x!.shape.length) return emitter.node('Resize', inputs, kept);
  const full = (index: number, fallback: (axis: number) => number | undefined): Value | undefined => {
    const values = constantNumbers({ emitter, inputs }, index);
    if (!values || values.length === 0) return undefined;
    const all = x!.shape.map((_, axis) => {
      const at = axes.findIndex((given) => positive(given, x!.shape.length) === axis);
      return at < 0 ? fallback(axis) : values[at]!;
    });
    if (all.includes(undefined))
      throw new PupilError(
        'unsupported',
        `${node.name}: Resize beside a size known only at run time; export the model with scales`,
      );
    return index === 2
      ? emitter.builder.constant({ dtype: 'float32', dims: [all.length], data: Float32Array.from(all as number[]) })
      : emitter.builder.ints(all as number[]);
  };
  const size = (axis: number): number | undefined => (typeof x!.shape[axis] === 'number' ? x!.shape[axis] : undefined);
  return emitter.node('Resize', [x, null, full(2, () => 1), full(3, size)], kept);
};

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
