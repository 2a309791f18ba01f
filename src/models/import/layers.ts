import { numberOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Attribute, Value } from '../../graph/graph.js';
import { numbersOf, sizeOf, tensor, zeros, type Tensor } from '../../tensor.js';
import type { Conversion, Converter } from './conversion.js';
import type { Emitter } from './emitter.js';
import { isNamed } from './names.js';
import { isFilledWith } from './roles.js';

type Attributes = Readonly<Record<string, Attribute>>;

/** The attributes without some. */
export const without = (attributes: Attributes, ...names: readonly string[]): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));

/** The numbers of a constant operand. */
export const constantNumbers = (
  { emitter, inputs }: Pick<Conversion, 'emitter' | 'inputs'>,
  index: number,
): number[] | undefined => {
  const t = emitter.builder.constantOf(inputs[index]);
  return t && numbersOf(t);
};

/** A Conv's bias of zeros that the exporter made up goes (it is no parameter of the model). */
const conv: Converter = ({ node, inputs, attributes, emitter }) => {
  const bias = inputs[2];
  const made = bias && !emitter.weights.has(bias.name) ? emitter.builder.constantOf(bias) : undefined;
  const kept = made && numbersOf(made).every((x) => x === 0) ? inputs.slice(0, 2) : inputs;
  const defaults = attributes.auto_pad === 'NOTSET' ? without(attributes, 'auto_pad') : attributes;
  return emitter.node(node.op, kept, defaults);
};

/** Whether a vector is the ones or zeros that an exporter puts where the network has none. */
function isMadeUp({ builder, weights }: Emitter, value: Value, number: number): boolean {
  const t = builder.constantOf(value);
  return t !== undefined && !isNamed(weights.get(value.name) ?? '') && isFilledWith(t, number);
}

/**
 * (x - mean) / sqrt(variance + epsilon) * scale + bias with mean and variance of x [N, C, ...] itself
 * for each channel: how exporters write standardised weights, x then being [1, C, ...].
 */
function withOwnStatistics({ inputs: [x, scale, bias], attributes, emitter }: Conversion): Value {
  const { builder } = emitter,
    [batch, , ...rest] = x!.shape,
    epsilon = numberOf(attributes, 'epsilon', 1e-5);
  let y: Value;
  if (batch === 1 && rest.every((size) => typeof size === 'number')) {
    const ones = builder.constant(tensor('float32', rest, new Float32Array(sizeOf(rest)).fill(1)));
    y = emitter.op('LayerNormalization', [x, ones, builder.constant(zeros('float32', rest))], { axis: 2, epsilon });
  } else {
    const axes = x!.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
    const centred = emitter.op('Sub', [x, emitter.op('ReduceMean', [x], { axes, keepdims: 1 })]);
    const variance = emitter.op('ReduceMean', [emitter.op('Mul', [centred, centred])], { axes, keepdims: 1 });
    y = emitter.op('Div', [centred, emitter.op('Sqrt', [emitter.op('Add', [variance, epsilon])])]);
  }
  const column = (v: Value): Value => emitter.op('Unsqueeze', [v, builder.ints(rest.map((_, i) => i + 1))]);
  if (!isMadeUp(emitter, scale!, 1)) y = emitter.op('Mul', [y, column(scale!)]);
  return isMadeUp(emitter, bias!, 0) ? y : emitter.op('Add', [y, column(bias!)]);
}

/**
 * In inference form: training decides itself whether batch statistics are used. Unless the network
 * keeps none: then the file computes them, and training mode means that they are those of x.
 */
const batchNormalization: Converter = (conversion) => {
  const { node, inputs, attributes, emitter } = conversion;
  if (attributes.training_mode === 1 && !emitter.builder.constantOf(inputs[3])) return [withOwnStatistics(conversion)];
  if (attributes.spatial === 0) {
    throw new PupilError(
      'unsupported',
      `${node.name}: BatchNormalization with spatial=0 is not supported; export with a newer exporter`,
    );
  }
  return emitter.node(
    'BatchNormalization',
    inputs,
    without(attributes, 'training_mode', 'is_test', 'spatial', 'consumed_inputs'),
  );
};

/** Dropout(x, ratio): whether it is active is decided in training, not by the file. */
const dropout: Converter = (conversion) => {
  const { inputs, attributes, emitter } = conversion;
  const ratio = constantNumbers(conversion, 1)?.[0] ?? (typeof attributes.ratio === 'number' ? attributes.ratio : 0.5);
  return [emitter.op('Dropout', [inputs[0], emitter.builder.scalar(ratio, 'float32')])];
};

/** min and max became inputs in opset 11. */
const clip: Converter = ({ inputs, attributes, emitter, opset }) => {
  if (opset >= 11) return emitter.node('Clip', inputs);
  const bound = (name: string): Value | undefined =>
    typeof attributes[name] === 'number' ? emitter.builder.scalar(attributes[name]) : undefined;
  return emitter.node('Clip', [inputs[0], bound('min'), bound('max')]);
};

/** A weight that is only transposed becomes transB. */
const gemm: Converter = ({ inputs: [a, b, c], attributes, emitter }) => {
  const producer = b && emitter.producer(b);
  if (producer?.op === 'Transpose' && emitter.weights.has(producer.inputs[0]!)) {
    const weight = emitter.builder.value(producer.inputs[0]!);
    return emitter.node('Gemm', [a, weight, c], { ...attributes, transB: attributes.transB === 1 ? 0 : 1 });
  }
  return emitter.node('Gemm', [a, b, c], attributes);
};

/** The lowest float32. */
const lowest = -3.4028234663852886e38;

/**
 * onnxruntime makes one MaxPool of a Pad with constants and the MaxPool behind it, whose padding is
 * lower than any number: where the Pad has zeros and numbers are negative, that is another result.
 * The larger of a number and the lowest between the two keeps them apart.
 */
function apartFromPad(x: Value, emitter: Emitter): Value {
  let pad = emitter.producer(x);
  // Channels go first between the two in Keras' exports; onnxruntime moves that away.
  while (pad?.op === 'Transpose') pad = emitter.producer(emitter.builder.value(pad.inputs[0]!));
  if (pad?.op !== 'Pad' || (pad.attributes['mode'] ?? 'constant') !== 'constant') return x;
  return emitter.op('Max', [x, lowest]);
}

/** Dilations came with opset 19; all ones is what opset 17 has. */
const pool: Converter = ({ node, inputs: given, attributes, emitter, outputCount }) => {
  const inputs = node.op === 'MaxPool' ? [apartFromPad(given[0]!, emitter)] : given;
  const { dilations } = attributes;
  const dilated = Array.isArray(dilations) && (dilations as number[]).some((d) => d !== 1);
  if (dilated && node.op === 'AveragePool')
    throw new PupilError(
      'unsupported',
      `${node.name}: AveragePool with dilations is not supported; export the model without it`,
    );
  const kept = without(
    attributes,
    ...(dilated ? [] : ['dilations']),
    ...(attributes.auto_pad === 'NOTSET' ? ['auto_pad'] : []),
    'storage_order',
  );
  return emitter.node(node.op, inputs, kept, outputCount);
};

/**
 * Exporters store equal tensors once and name the others by an Identity: fresh layers, which have
 * the same ones and zeros, get their own back.
 */
const identity: Converter = ({ node, inputs: [x], emitter }) => {
  const t = x && emitter.weights.has(x.name) ? emitter.builder.constantOf(x) : undefined,
    name = node.outputs[0]!;
  const isOwn = t !== undefined && isNamed(name) && (isFilledWith(t, 0) || isFilledWith(t, 1));
  return [isOwn ? emitter.stored(t, name) : x!];
};

/** Before opset 13 everything from `axis` on was one axis. */
const softmax: Converter = ({ node, inputs: [x], attributes, emitter, opset }) => {
  const rank = x!.shape.length;
  const given = attributes.axis as number | undefined;
  const axis = ((given ?? (opset < 13 ? 1 : -1)) + rank) % rank;
  if (opset >= 13 || axis === rank - 1) return emitter.node(node.op, [x], { axis });
  const flat = emitter.op('Flatten', [x], { axis });
  return [emitter.op('Reshape', [emitter.op(node.op, [flat], { axis: 1 }), emitter.op('Shape', [x])])];
};

/**
 * The float tensor behind quantised integers: (q - zero_point) * scale, by channel along `axis`.
 */
function dequantized(q: Tensor, scale: readonly number[], zero: readonly number[], axis: number): Tensor {
  const inner = q.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const out = new Float32Array(q.data.length);
  const numbers = numbersOf(q);
  for (let i = 0; i < out.length; i++) {
    const channel = scale.length === 1 ? 0 : Math.floor(i / inner) % scale.length;
    out[i] = Math.fround((numbers[i]! - (zero.length === 1 ? zero[0]! : (zero[channel] ?? 0))) * scale[channel]!);
  }
  return tensor('float32', q.dims, out);
}

/**
 * Stored integers become stored floats; on activations only the clipping of QuantizeLinear was
 * left.
 */
const dequantize: Converter = (conversion) => {
  const {
    node,
    inputs: [x],
    attributes,
    emitter,
  } = conversion;
  const stored = emitter.builder.constantOf(x);
  if (x!.dtype === 'float32') return [x!];
  const scale = constantNumbers(conversion, 1);
  if (!stored || !scale || attributes.block_size) {
    throw new PupilError(
      'unsupported',
      `${node.name}: a DequantizeLinear of computed or block-quantised values; give the float model, ` +
        'or one quantised in QDQ format',
    );
  }
  const axis = numberOf(attributes, 'axis', 1);
  const t = dequantized(
    stored,
    scale,
    constantNumbers(conversion, 2) ?? [0],
    axis < 0 ? axis + stored.dims.length : axis,
  );
  return [emitter.stored(t, node.inputs[0]!.replace(/_quantized$/, ''))];
};

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
};

/**
 * Rounding goes; what stays is the clipping at zero that quantisers use in place of a ReLU: when
 * the zero point is the lowest integer, negative values had become 0 and those beyond (highest -
 * zero) * scale that.
 */
const quantize: Converter = (conversion) => {
  const {
    inputs: [x, , zero],
    emitter,
  } = conversion;
  const scale = constantNumbers(conversion, 1);
  const range = ranges[zero?.dtype ?? 'uint8'];
  const point = zero ? constantNumbers(conversion, 2)?.[0] : 0;
  const producer = emitter.producer(x!);
  if (!scale || scale.length !== 1 || !range || point !== range[0] || !producer || !unbounded.has(producer.op))
    return [x!];
  return emitter.node('Clip', [
    x,
    emitter.builder.scalar(0),
    emitter.builder.scalar(Math.fround((range[1] - point) * scale[0]!)),
  ]);
};

/** Ops whose results can be negative, so that the clipping says something. */
const unbounded: ReadonlySet<string> = new Set([
  'Conv',
  'Gemm',
  'MatMul',
  'Add',
  'Sub',
  'Mul',
  'BatchNormalization',
  'ConvTranspose',
]);

/**
 * One scale and bias for all channels of a group, normalised together: y = scale (x - mean) /
 * sqrt(variance + epsilon) + bias.
 */
const groupNormalization: Converter = ({ node, inputs: [x, scale, bias], attributes, emitter, opset }) => {
  const groups = attributes.num_groups as number;
  const channels = x!.shape[1];
  if (typeof channels !== 'number')
    throw new Error(`${node.name}: GroupNormalization needs a known number of channels`);
  const { builder } = emitter;
  const ones = builder.constant(tensor('float32', [groups], new Float32Array(groups).fill(1)));
  const none = builder.constant(zeros('float32', [groups]));
  const flat = emitter.op('Reshape', [x, builder.ints([0, groups, -1])]);
  const normal = emitter.op('InstanceNormalization', [flat, ones, none], {
    epsilon: numberOf(attributes, 'epsilon', 1e-5),
  });
  const back = emitter.op('Reshape', [normal, emitter.op('Shape', [x])]);
  // Before opset 21 there was one scale and bias a group.
  const perGroup = opset < 21 && groups !== channels;
  const spread = (v: Value): Value => {
    const column = perGroup
      ? emitter.op('Reshape', [
          emitter.op('Expand', [
            emitter.op('Unsqueeze', [v, builder.ints([1])]),
            builder.ints([groups, channels / groups]),
          ]),
          builder.ints([-1]),
        ])
      : v;
    return emitter.op('Unsqueeze', [column, builder.ints(x!.shape.slice(2).map((_, i) => i + 1))]);
  };
  return [emitter.op('Add', [emitter.op('Mul', [back, spread(scale!)]), spread(bias!)])];
};

export const layerConverters: Readonly<Record<string, Converter>> = {
  'Conv': conv,
  'BatchNormalization': batchNormalization,
  'Dropout': dropout,
  'Clip': clip,
  'Gemm': gemm,
  'MaxPool': pool,
  'AveragePool': pool,
  'Softmax': softmax,
  'LogSoftmax': softmax,
  'Hardmax': softmax,
  'Identity': identity,
  'DequantizeLinear': dequantize,
  'QuantizeLinear': quantize,
  // As onnxruntime's quantiser names them for integers of 16 bits in old opsets.
  'com.microsoft.DequantizeLinear': dequantize,
  'com.microsoft.QuantizeLinear': quantize,
  'GroupNormalization': groupNormalization,
};
