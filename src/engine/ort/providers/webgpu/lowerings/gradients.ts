import { numberOf, requiredList } from '../../../../../graph/attributes.js';
import { sizeOf } from '../../../../../tensor.js';
import type { Emitter } from '../../../emitter.js';
import type { Sized } from '../../../sized.js';
import type { Lowering } from '../../../lowering.js';
import { convolutionOf, windowOver, type Convolution } from '../../../lowerings/convolution.js';
import { mixed } from '../../../lowerings/normalization.js';
import { maxPoolGradientByTaps } from '../../../lowerings/pooling.js';

/**
 * Training ops whose kernels WebGPU has for inference only, and what else is better done otherwise
 * than on a CPU.
 */
export const gradients: Readonly<Record<string, Lowering>> = {
  BatchNormalization: ({ e, node, input }) => {
    if (numberOf(node.attributes, 'training_mode', 0) !== 1) return undefined;
    const [y, mean, variance] = trainedNormalization(
      e,
      input(0),
      input(1),
      input(2),
      numberOf(node.attributes, 'epsilon', 1e-5),
    );
    return [y, ...mixed(e, [input(3), input(4)], [mean, variance], numberOf(node.attributes, 'momentum', 0.9))];
  },
  ConvGradWeight: ({ e, node, input }) => {
    const [x, dy] = [input(0), input(1)];
    const c = convolutionOf(node.name, node.attributes, x.shape, [
      dy.shape[1]!,
      0,
      ...requiredList(node.attributes, 'kernel_shape'),
    ]);
    return isPatches(c) ? [patchGradient(e, x, dy, c)] : undefined;
  },
  MaxPoolGrad: ({ e, node, input }) => {
    const x = input(0);
    return [maxPoolGradientByTaps(e, [x, input(1), input(2)], windowOver(node.name, node.attributes, x.shape))];
  },
};

/** Filters beside each other, none overlapping, as of a vision transformer's patches. */
const isPatches = (c: Convolution): boolean =>
  c.group === 1 &&
  c.kernel[0] * c.kernel[1] > 1 &&
  [0, 1].every(
    (i) =>
      c.kernel[i] === c.strides[i] &&
      c.dilations[i] === 1 &&
      c.before[i] === 0 &&
      c.after[i] === 0 &&
      c.output[i]! * c.kernel[i]! === c.input[i],
  );

/**
 * dw of patches, one product: dy [N P, O] transposed times x as rows [N P, C kh kw], instead of one
 * for every tap.
 */
function patchGradient(e: Emitter, x: Sized, dy: Sized, c: Convolution): Sized {
  const [[height, width], [kh, kw]] = [c.output, c.kernel];
  const patches = e.transpose(e.reshape(x, [c.batch, c.inputChannels, height, kh, width, kw]), [0, 2, 4, 1, 3, 5]);
  const rows = e.reshape(patches, [c.batch * height * width, c.inputChannels * kh * kw]);
  const left = e.reshape(e.transpose(dy, [0, 2, 3, 1]), [c.batch * height * width, c.outputChannels]);
  return e.reshape(e.matmul(left, rows, { transA: true }), [c.outputChannels, c.inputChannels, kh, kw]);
}

/**
 * Batch mean and population variance, and x normalised by them in one pass: the inference kernel
 * takes any statistics.
 */
function trainedNormalization(
  e: Emitter,
  x: Sized,
  scale: Sized,
  bias: Sized,
  epsilon: number,
): readonly [y: Sized, mean: Sized, variance: Sized] {
  const channels = x.shape[1]!;
  const mean = channelMean(e, x);
  const centred = e.sub(x, e.reshape(mean, [1, channels, ...x.shape.slice(2).map(() => 1)]));
  const variance = channelMean(e, e.mul(centred, centred));
  return [e.emit('BatchNormalization', [x, scale, bias, mean, variance], { epsilon }, x.shape), mean, variance];
}

/**
 * Mean of x [N, C, ...] by channel: [C]. First over the pixels of each sample, which keeps many
 * threads busy and rounding small.
 */
function channelMean(e: Emitter, x: Sized): Sized {
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const pixels = sizeOf(x.shape.slice(2));
  const samples =
    pixels === 1
      ? e.reshape(x, [batch, channels])
      : e.emit('ReduceMean', [e.reshape(x, [batch, channels, pixels])], { axes: [2], keepdims: 0 }, [batch, channels]);
  return e.emit('ReduceMean', [samples], { axes: [0], keepdims: 0 }, [channels]);
}
