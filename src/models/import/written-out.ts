import { listOf, numberOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Value } from '../../graph/graph.js';
import { windowOf } from '../../graph/window.js';
import { float32, sizeOf } from '../../tensor.js';
import type { Conversion, Converter } from './conversion.js';
import type { Emitter } from './emitter.js';
import { constantNumbers, without } from './layers.js';

/** Ops that few networks have, in terms of ops that every engine has fast. */

/** The smallest normal float32: norms of zeros are this, so that quotients and gradients are zero. */
const tiny = 1.1754943508222875e-38;

/** x^p, of numbers that are not negative. */
const power = (emitter: Emitter, x: Value, p: number): Value =>
  p === 1 ? x : p === 2 ? emitter.op('Mul', [x, x]) : emitter.op('Pow', [x, p]);

/** The p-th root of a sum of powers. */
function root(emitter: Emitter, x: Value, p: number): Value {
  if (p === 1) return x;
  const held = emitter.op('Max', [x, tiny]);
  return p === 2 ? emitter.op('Sqrt', [held]) : emitter.op('Pow', [held, 1 / p]);
}

/** (sum of |x|^p over axes)^(1 / p), the axes kept as 1. */
function norm(emitter: Emitter, x: Value, p: number, axes: readonly number[]): Value {
  const powers = power(emitter, p === 2 ? x : emitter.op('Abs', [x]), p);
  return root(emitter, emitter.op('ReduceSum', [powers, emitter.builder.ints(axes)], { keepdims: 1 }), p);
}

/** x / norm(x) over one axis. */
const lpNormalization: Converter = ({ inputs: [x], attributes, emitter }) => {
  const length = norm(emitter, x!, numberOf(attributes, 'p', 2), [numberOf(attributes, 'axis', -1)]);
  return [emitter.op('Div', [x, emitter.op('Max', [length, tiny])])];
};

const globalLpPool: Converter = ({ inputs: [x], attributes, emitter }) => [
  norm(emitter, x!, numberOf(attributes, 'p', 2), x!.shape.map((_, axis) => axis).slice(2)),
];

/** The mean of powers, times how many the window has, under the root. */
const lpPool: Converter = ({ node, inputs: [x], attributes, emitter }) => {
  const refuse = (what: string): never => {
    throw new PupilError(
      'unsupported',
      `${node.name}: LpPool with ${what} is not supported; export the model without it`,
    );
  };
  const p = numberOf(attributes, 'p', 2),
    kernel = listOf(attributes, 'kernel_shape') ?? refuse('no kernel_shape');
  if (listOf(attributes, 'dilations')?.some((step) => step !== 1)) refuse('dilations');
  if (attributes.ceil_mode === 1) refuse('ceil_mode');
  const powers = power(emitter, p === 2 ? x! : emitter.op('Abs', [x]), p);
  const mean = emitter.op('AveragePool', [powers], {
    ...without(attributes, 'p', 'dilations', 'ceil_mode'),
    count_include_pad: 1,
  });
  return [root(emitter, emitter.op('Mul', [mean, sizeOf(kernel)]), p)];
};

/** (x - mean) / deviation over some axes; nothing is divided by zero. */
const meanVarianceNormalization: Converter = ({ inputs: [x], attributes, emitter }) => {
  const axes = listOf(attributes, 'axes') ?? [0, 2, 3],
    mean = (value: Value): Value => emitter.op('ReduceMean', [value], { axes, keepdims: 1 });
  const centred = emitter.op('Sub', [x, mean(x!)]);
  const deviation = emitter.op('Sqrt', [emitter.op('Add', [mean(emitter.op('Mul', [centred, centred])), 1e-18])]);
  return [emitter.op('Div', [centred, deviation])];
};

/** Moved towards zero by `bias`, and zero within `lambd` of it. */
const shrink: Converter = ({ inputs: [x], attributes, emitter }) => {
  const limit = numberOf(attributes, 'lambd', 0.5),
    bias = numberOf(attributes, 'bias', 0),
    zero = emitter.builder.scalar(0);
  const below = emitter.op('Where', [emitter.op('Less', [x, -limit]), emitter.op('Add', [x, bias]), zero]);
  return [emitter.op('Where', [emitter.op('Greater', [x, limit]), emitter.op('Sub', [x, bias]), below])];
};

/** An input that must be constant. */
function constant(conversion: Conversion, index: number): number[] {
  const { node } = conversion;
  return (
    constantNumbers(conversion, index) ??
    (() => {
      throw new PupilError(
        'unsupported',
        `${node.name}: ${node.op} to a size known only at run time; export the model with a fixed image size`,
      );
    })()
  );
}

/**
 * Columns [N, C * window, positions] put back as an image [N, C, ...] in which windows that overlap
 * add up: a transposed convolution with one filter for each place in the window.
 */
const col2im: Converter = (conversion) => {
  const { inputs, attributes, emitter } = conversion,
    [x] = inputs,
    { builder } = emitter;
  const image = constant(conversion, 1),
    window = constant(conversion, 2),
    count = sizeOf(window),
    channels = Number(x!.shape[1]) / count;
  const { strides, dilations, begin, end, output } = windowOf(without(attributes, 'kernel_shape'), image, window);
  const filters = new Float32Array(count * count);
  for (let i = 0; i < count; i++) filters[i * (count + 1)] = 1;
  const columns = emitter.op('Reshape', [x, builder.ints([-1, count, ...output])]);
  const summed = emitter.op('ConvTranspose', [columns, builder.constant(float32([count, 1, ...window], filters))], {
    kernel_shape: window,
    strides,
    dilations,
    pads: [...begin, ...end],
    // Pixels behind the last window.
    output_padding: image.map(
      (size, i) => size - (strides[i]! * (output[i]! - 1) + (window[i]! - 1) * dilations[i]! + 1 - begin[i]! - end[i]!),
    ),
  });
  return [emitter.op('Reshape', [summed, builder.ints([-1, channels, ...image])])];
};

export const writtenOutConverters: Readonly<Record<string, Converter>> = {
  LpNormalization: lpNormalization,
  LpPool: lpPool,
  GlobalLpPool: globalLpPool,
  MeanVarianceNormalization: meanVarianceNormalization,
  Col2Im: col2im,
  Shrink: shrink,
};
