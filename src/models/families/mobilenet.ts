import type { Value } from '../../graph/graph.js';
import {
  convolve,
  roundChannels,
  stages,
  stem,
  type Activation,
  type Blocks,
  type SqueezeExcitation,
} from './inverted-residual.js';
import type { Layers } from './layers.js';

const blocks = (
  repeats: number,
  kernel: number,
  stride: number,
  expansion: number | undefined,
  channels: number,
  activation: Activation,
  squeeze?: SqueezeExcitation,
): Blocks => ({ repeats, kernel, stride, expansion, channels, activation, squeeze });

/** Table 2 of Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018. */
const second: readonly (readonly Blocks[])[] = [
  [blocks(1, 3, 1, undefined, 16, 'relu6')],
  [blocks(2, 3, 2, 6, 24, 'relu6')],
  [blocks(3, 3, 2, 6, 32, 'relu6')],
  [blocks(4, 3, 2, 6, 64, 'relu6')],
  [blocks(3, 3, 1, 6, 96, 'relu6')],
  [blocks(3, 3, 2, 6, 160, 'relu6')],
  [blocks(1, 3, 1, 6, 320, 'relu6')],
];

/**
 * MobileNet V2 with `width` times the channels. timm's deeper ones (`depth` above 1) keep the stem,
 * the head and the number of blocks of the first and last stage.
 */
export const mobilenetV2 =
  (width: number, depth = 1) =>
  (layers: Layers, x: Value): Value => {
    const scale = (channels: number): number => roundChannels(channels * width);
    const deeper = second.map((stage, s) => (s === 0 || s === second.length - 1 ? stage : stage.map(repeated(depth))));
    x = stem(layers, x, depth > 1 ? 32 : scale(32), 'relu6');
    x = stages(layers, x, deeper, scale);
    x = convolve(layers, x, 'conv_head', 'bn2', depth > 1 ? 1280 : Math.max(1280, scale(1280)), { kernel: 1 }, 'relu6');
    return layers.globalAveragePool(x, 'global_pool');
  };

/** Rows of a table with `depth` times the blocks. */
export const repeated =
  (depth: number) =>
  (row: Blocks): Blocks => ({ ...row, repeats: Math.ceil(row.repeats * depth) });

const squeezed: SqueezeExcitation = {
  channels: (inside) => roundChannels(inside / 4),
  activation: 'relu',
  gate: 'hardSigmoid',
};

/**
 * Tables 1 and 2 of Howard et al., "Searching for MobileNetV3", 2019; the last 1x1 convolution of
 * each is `last` channels wide.
 */
const third = {
  large: {
    last: 960,
    features: 1280,
    table: [
      [blocks(1, 3, 1, undefined, 16, 'relu')],
      [blocks(1, 3, 2, 4, 24, 'relu'), blocks(1, 3, 1, 3, 24, 'relu')],
      [blocks(3, 5, 2, 3, 40, 'relu', squeezed)],
      [
        blocks(1, 3, 2, 6, 80, 'hardSwish'),
        blocks(1, 3, 1, 2.5, 80, 'hardSwish'),
        blocks(2, 3, 1, 2.3, 80, 'hardSwish'),
      ],
      [blocks(2, 3, 1, 6, 112, 'hardSwish', squeezed)],
      [blocks(3, 5, 2, 6, 160, 'hardSwish', squeezed)],
    ],
  },
  small: {
    last: 576,
    features: 1024,
    table: [
      [blocks(1, 3, 2, undefined, 16, 'relu', squeezed)],
      [blocks(1, 3, 2, 4.5, 24, 'relu'), blocks(1, 3, 1, 3.67, 24, 'relu')],
      [blocks(1, 5, 2, 4, 40, 'hardSwish', squeezed), blocks(2, 5, 1, 6, 40, 'hardSwish', squeezed)],
      [blocks(2, 5, 1, 3, 48, 'hardSwish', squeezed)],
      [blocks(3, 5, 2, 6, 96, 'hardSwish', squeezed)],
    ],
  },
} as const satisfies Record<
  string,
  { readonly last: number; readonly features: number; readonly table: readonly (readonly Blocks[])[] }
>;

/**
 * MobileNet V3 with `width` times the channels: the last wide layer comes after the pooling, where
 * it is cheap, and has no normalisation.
 */
export const mobilenetV3 =
  (variant: keyof typeof third, width: number) =>
  (layers: Layers, x: Value): Value => {
    const { table, last, features } = third[variant];
    const scale = (channels: number): number => roundChannels(channels * width);
    x = stem(layers, x, width < 0.75 ? 16 : scale(16), 'hardSwish');
    x = stages(layers, x, table, scale);
    x = convolve(
      layers,
      x,
      `blocks.${table.length}.0.conv`,
      `blocks.${table.length}.0.bn1`,
      scale(last),
      { kernel: 1 },
      'hardSwish',
    );
    x = layers.averagePool(x, 'global_pool');
    x = layers.hardSwish(layers.conv(x, 'conv_head', features, { kernel: 1, bias: true }), 'act2');
    return layers.flatten(x, 'flatten');
  };
