import type { Value } from '../../graph/graph.js';
import { channelsOf, type ConvOptions, type Layers } from './layers.js';

/**
 * What MobileNet V2, V3 and EfficientNet are made of: inverted residual blocks (Sandler et al.
 * 2018), wide inside and narrow at both ends, with squeeze-and-excitation (Hu et al. 2018) where
 * asked for. Parameter names are timm's.
 */

export type Activation = 'relu' | 'relu6' | 'silu' | 'hardSwish';

/** Some equal blocks: only the first has the stride. */
export interface Blocks {
  readonly repeats: number;
  readonly kernel: number;
  readonly stride: number;
  /**
   * Width inside by width before; undefined: a depthwise-separable block, which has nothing inside.
   */
  readonly expansion: number | undefined;
  /** Channels after, before they are scaled. */
  readonly channels: number;
  readonly activation: Activation;
  readonly squeeze: SqueezeExcitation | undefined;
}

/** y = x gate(W2 activation(W1 mean(x) + b1) + b2) */
export interface SqueezeExcitation {
  /** Channels between the two convolutions, from the width inside the block and that before it. */
  readonly channels: (inside: number, before: number) => number;
  readonly activation: Activation;
  readonly gate: 'sigmoid' | 'hardSigmoid';
}

/** Rows of a table of blocks that share an activation, and squeeze-and-excitation if any. */
export const blocksWith =
  (activation: Activation, squeeze?: SqueezeExcitation) =>
  (repeats: number, kernel: number, stride: number, expansion: number | undefined, channels: number): Blocks => ({
    repeats,
    kernel,
    stride,
    expansion,
    channels,
    activation,
    squeeze,
  });

/** The nearest multiple of 8, at least 8, and never less than nine tenths of the number. */
export function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** The 3x3 convolution of stride 2 that each of these networks begins with. */
export const stem = (layers: Layers, x: Value, channels: number, activation: Activation): Value =>
  convolve(layers, x, { conv: 'conv_stem', norm: 'bn1' }, channels, { stride: 2, activation });

/**
 * `blocks.S.I` for the I-th block of stage S. `scale` turns the table's channels into the
 * network's.
 */
export function stages(
  layers: Layers,
  x: Value,
  table: readonly (readonly Blocks[])[],
  scale: (channels: number) => number,
): Value {
  table.forEach((stage, s) => {
    let i = 0;
    for (const blocks of stage) {
      for (let repeat = 0; repeat < blocks.repeats; repeat++) {
        x = block(layers, x, `blocks.${s}.${i++}`, {
          ...blocks,
          stride: repeat === 0 ? blocks.stride : 1,
          channels: scale(blocks.channels),
        });
      }
    }
  });
  return x;
}

/** Convolution, normalisation and, where given, activation; both layers have their names. */
export function convolve(
  layers: Layers,
  x: Value,
  { conv, norm }: { readonly conv: string; readonly norm: string },
  channels: number,
  { activation, ...options }: ConvOptions & { readonly activation?: Activation },
): Value {
  const y = layers.batchNorm(layers.conv(x, conv, channels, options), norm);
  return activation ? layers[activation](y, `${norm}.act`) : y;
}

/**
 * 1x1 to `expansion` times the width, depthwise, squeeze-and-excitation, 1x1 without activation;
 * the input is added where shapes agree.
 */
function block(
  layers: Layers,
  x: Value,
  name: string,
  { kernel, stride, expansion, channels, activation, squeeze }: Omit<Blocks, 'repeats'>,
): Value {
  const names = (conv: string, norm: string) => ({ conv: `${name}.${conv}`, norm: `${name}.${norm}` });
  const expands = expansion !== undefined;
  const before = channelsOf(x);
  const inside = expands ? roundChannels(before * expansion) : before;
  let y = x;
  if (expands) y = convolve(layers, y, names('conv_pw', 'bn1'), inside, { kernel: 1, activation });
  y = convolve(layers, y, names('conv_dw', expands ? 'bn2' : 'bn1'), inside, {
    kernel,
    stride,
    groups: inside,
    activation,
  });
  if (squeeze) y = excite(layers, y, `${name}.se`, squeeze.channels(inside, before), squeeze);
  const last = expands ? names('conv_pwl', 'bn3') : names('conv_pw', 'bn2');
  y = convolve(layers, y, last, channels, { kernel: 1 });
  return stride === 1 && before === channels ? layers.builder.op('Add', [y, x], {}, { name: `${name}.add` }) : y;
}

function excite(
  layers: Layers,
  x: Value,
  name: string,
  channels: number,
  { activation, gate }: SqueezeExcitation,
): Value {
  const pooled = layers.averagePool(x, `${name}.pool`);
  const reduced = layers[activation](
    layers.conv(pooled, `${name}.conv_reduce`, channels, { kernel: 1, bias: true }),
    `${name}.act1`,
  );
  const expanded = layers.conv(reduced, `${name}.conv_expand`, channelsOf(x), { kernel: 1, bias: true });
  return layers.builder.op('Mul', [x, layers[gate](expanded, `${name}.gate`)], {}, { name });
}
