import { sizeOf } from '../../../tensor.js';
import { ops, type Emitter, type Sized } from '../../ort/emitter.js';
import type { Lowering } from '../../ort/lower.js';
import { integers, number } from '../../ort/lowerings/attributes.js';
import { convolutionOf, windowOver, type Convolution, type Window } from '../../ort/lowerings/convolution.js';
import { mixed } from '../../ort/lowerings/normalization.js';

/** Training ops whose kernels WebGPU has for inference only, and what else is better done otherwise than on a CPU. */
export const gradients: Readonly<Record<string, Lowering>> = {
  BatchNormalization: ({ e, node, input }) => {
    if (number(node, 'training_mode', 0) !== 1) return undefined;
    const [y, mean, variance] = trainedNormalization(e, input(0), input(1), input(2), number(node, 'epsilon', 1e-5));
    return [y, ...mixed(e, [input(3), input(4)], [mean, variance], number(node, 'momentum', 0.9))];
  },
  ConvGradWeight: ({ e, node, input }) => {
    const [x, dy] = [input(0), input(1)];
    const c = convolutionOf(node.name, node.attributes, x.shape, [dy.shape[1]!, 0, ...integers(node, 'kernel_shape')]);
    return isPatches(c) ? [patchGradient(e, x, dy, c)] : undefined;
  },
  MaxPoolGrad: ({ e, node, input }) => {
    const x = input(0);
    return [maxPoolGradient(e, x, input(1), input(2), windowOver(node.name, node.attributes, x.shape))];
  },
};

/** Filters beside each other, none overlapping, as of a vision transformer's patches. */
const isPatches = (c: Convolution): boolean => c.group === 1 && c.kernel[0] * c.kernel[1] > 1
  && [0, 1].every((i) => c.kernel[i] === c.strides[i] && c.dilations[i] === 1 && c.before[i] === 0 && c.after[i] === 0 && c.output[i]! * c.kernel[i]! === c.input[i]);

/** dw of patches, one product: dy [N P, O] transposed times x as rows [N P, C kh kw], instead of one for every tap. */
function patchGradient(e: Emitter, x: Sized, dy: Sized, c: Convolution): Sized {
  const [[height, width], [kh, kw]] = [c.output, c.kernel];
  const patches = ops.transpose(e, ops.reshape(e, x, [c.batch, c.inputChannels, height, kh, width, kw]), [0, 2, 4, 1, 3, 5]);
  const rows = ops.reshape(e, patches, [c.batch * height * width, c.inputChannels * kh * kw]);
  const left = ops.reshape(e, ops.transpose(e, dy, [0, 2, 3, 1]), [c.batch * height * width, c.outputChannels]);
  return ops.reshape(e, ops.matmul(e, left, rows, { transA: true }), [c.outputChannels, c.inputChannels, kh, kw]);
}

/** Batch mean and population variance, and x normalised by them in one pass: the inference kernel takes any statistics. */
function trainedNormalization(e: Emitter, x: Sized, scale: Sized, bias: Sized, epsilon: number): readonly [y: Sized, mean: Sized, variance: Sized] {
  const channels = x.shape[1]!;
  const mean = channelMean(e, x);
  const centred = ops.sub(e, x, ops.reshape(e, mean, [1, channels, ...x.shape.slice(2).map(() => 1)]));
  const variance = channelMean(e, ops.mul(e, centred, centred));
  return [e.emit('BatchNormalization', [x, scale, bias, mean, variance], { epsilon }, x.shape), mean, variance];
}

/** Mean of x [N, C, ...] by channel: [C]. First over the pixels of each sample, which keeps many threads busy and rounding small. */
function channelMean(e: Emitter, x: Sized): Sized {
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const pixels = sizeOf(x.shape.slice(2));
  const samples = pixels === 1 ? ops.reshape(e, x, [batch, channels])
    : e.emit('ReduceMean', [ops.reshape(e, x, [batch, channels, pixels])], { axes: [2], keepdims: 0 }, [batch, channels]);
  return e.emit('ReduceMean', [samples], { axes: [0], keepdims: 0 }, [channels]);
}

/** Below every activation; padding with it is never the largest of a window. */
const lowest = -(2 - 2 ** -23) * 2 ** 127;

/**
 * Gradient of MaxPool without indices: each dy goes to the first element of its window that equals y, tap by tap, and what was given away
 * is no longer there for later taps. Contributions are summed per phase (pixel mod stride), then phases are interleaved.
 */
function maxPoolGradient(e: Emitter, x: Sized, y: Sized, dy: Sized, window: Window): Sized {
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const { strides, dilations, kernel, before, input } = window;
  const output = [dy.shape[2]!, dy.shape[3]!] as const;
  // rows of every phase: the furthest tap begins at floor(d (k - 1) / s) of them
  const rows = [0, 1].map((i) => output[i]! + Math.floor(dilations[i]! * (kernel[i]! - 1) / strides[i]!));
  const full = [0, 1].map((i) => Math.max(rows[i]! * strides[i]!, before[i]! + input[i]!));
  const after = [0, 1].map((i) => full[i]! - before[i]! - input[i]!);
  const padded = padWith(e, x, [0, 0, ...before], [0, 0, ...after], lowest);

  const zero = ops.floats(e, [], [0]);
  const phases = new Map<string, Sized>();
  let rest = dy;
  for (let row = 0; row < kernel[0]; row++) {
    for (let column = 0; column < kernel[1]; column++) {
      const start = [row * dilations[0], column * dilations[1]];
      const end = [0, 1].map((i) => start[i]! + (output[i]! - 1) * strides[i]! + 1);
      const tap = ops.slice(e, padded, [2, 3], start, end, strides.every((n) => n === 1) ? undefined : [...strides]);
      const largest = e.emit('Equal', [tap, y], {}, dy.shape, { dtype: 'bool' });
      const given = e.emit('Where', [largest, rest, zero], {}, dy.shape, { dtype: 'float32' });
      rest = ops.sub(e, rest, given);
      const shift = [0, 1].map((i) => Math.floor(start[i]! / strides[i]!));
      const placed = ops.pad(e, given, [0, 0, ...shift], [0, 0, ...[0, 1].map((i) => rows[i]! - output[i]! - shift[i]!)]);
      const key = [0, 1].map((i) => start[i]! % strides[i]!).join();
      const sum = phases.get(key);
      phases.set(key, sum ? ops.add(e, sum, placed) : placed);
    }
  }
  const whole = interleave(e, phases, [batch, channels, rows[0]!, rows[1]!], strides);
  const missing = [0, 1].map((i) => Math.max(0, before[i]! + input[i]! - whole.shape[i + 2]!));
  const kept = ops.pad(e, whole, [0, 0, 0, 0], [0, 0, ...missing]);
  return ops.slice(e, kept, [2, 3], before, [0, 1].map((i) => before[i]! + input[i]!));
}

/** Images [N, C, H, W] by phase "row,column" put between each other: [N, C, H rows, W columns]; phases that are absent are zero. */
function interleave(e: Emitter, phases: ReadonlyMap<string, Sized>, shape: readonly number[], strides: readonly [number, number]): Sized {
  const [batch, channels, height, width] = shape as [number, number, number, number];
  const part = [batch, channels, height, 1, width, 1];
  const lines = Array.from({ length: strides[0] }, (_, row) => ops.concat(e, Array.from({ length: strides[1] }, (_, column) => {
    const phase = phases.get(`${row},${column}`);
    return phase ? ops.reshape(e, phase, part) : e.emit('Expand', [ops.floats(e, [1], [0]), ops.ints(e, part)], {}, part);
  }), 5));
  return ops.reshape(e, ops.concat(e, lines, 3), [batch, channels, height * strides[0], width * strides[1]]);
}

function padWith(e: Emitter, x: Sized, before: readonly number[], after: readonly number[], value: number): Sized {
  if ([...before, ...after].every((n) => n === 0)) return x;
  const shape = x.shape.map((n, i) => n + before[i]! + after[i]!);
  return e.emit('Pad', [x, ops.ints(e, [...before, ...after]), ops.floats(e, [], [value])], { mode: 'constant' }, shape);
}
