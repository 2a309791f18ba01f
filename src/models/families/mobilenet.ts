import type { Value } from '../../graph/graph.js';
import {
  blocksWith,
  convolve,
  roundChannels,
  stages,
  stem,
  type Blocks,
  type SqueezeExcitation,
} from './inverted-residual.js';
import type { Layers } from './layers.js';

const relu6 = blocksWith('relu6');

/** Table 2 of Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018. */
const version2: readonly (readonly Blocks[])[] = [
  [relu6(1, 3, 1, undefined, 16)],
  [relu6(2, 3, 2, 6, 24)],
  [relu6(3, 3, 2, 6, 32)],
  [relu6(4, 3, 2, 6, 64)],
  [relu6(3, 3, 1, 6, 96)],
  [relu6(3, 3, 2, 6, 160)],
  [relu6(1, 3, 1, 6, 320)],
];

/**
 * MobileNet V2 with `width` times the channels. timm's deeper ones (`depth` above 1) keep the stem,
 * the head and the number of blocks of the first and last stage.
 */
export const mobilenetV2 =
  (width: number, depth = 1) =>
  (layers: Layers, x: Value): Value => {
    const scale = (channels: number): number => roundChannels(channels * width);
    const deeper = version2.map((stage, s) =>
      s === 0 || s === version2.length - 1 ? stage : stage.map(repeated(depth)),
    );
    x = stem(layers, x, depth > 1 ? 32 : scale(32), 'relu6');
    x = stages(layers, x, deeper, scale);
    const features = depth > 1 ? 1280 : Math.max(1280, scale(1280));
    x = convolve(layers, x, { conv: 'conv_head', norm: 'bn2' }, features, { kernel: 1, activation: 'relu6' });
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
const relu = blocksWith('relu');
const reluSqueezed = blocksWith('relu', squeezed);
const hardSwish = blocksWith('hardSwish');
const hardSwishSqueezed = blocksWith('hardSwish', squeezed);

/**
 * Tables 1 and 2 of Howard et al., "Searching for MobileNetV3", 2019; the last 1x1 convolution of
 * each is `last` channels wide.
 */
const version3 = {
  large: {
    last: 960,
    features: 1280,
    table: [
      [relu(1, 3, 1, undefined, 16)],
      [relu(1, 3, 2, 4, 24), relu(1, 3, 1, 3, 24)],
      [reluSqueezed(3, 5, 2, 3, 40)],
      [hardSwish(1, 3, 2, 6, 80), hardSwish(1, 3, 1, 2.5, 80), hardSwish(2, 3, 1, 2.3, 80)],
      [hardSwishSqueezed(2, 3, 1, 6, 112)],
      [hardSwishSqueezed(3, 5, 2, 6, 160)],
    ],
  },
  small: {
    last: 576,
    features: 1024,
    table: [
      [reluSqueezed(1, 3, 2, undefined, 16)],
      [relu(1, 3, 2, 4.5, 24), relu(1, 3, 1, 3.67, 24)],
      [hardSwishSqueezed(1, 5, 2, 4, 40), hardSwishSqueezed(2, 5, 1, 6, 40)],
      [hardSwishSqueezed(2, 5, 1, 3, 48)],
      [hardSwishSqueezed(3, 5, 2, 6, 96)],
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
  (variant: keyof typeof version3, width: number) =>
  (layers: Layers, x: Value): Value => {
    const { table, last, features } = version3[variant];
    const scale = (channels: number): number => roundChannels(channels * width);
    x = stem(layers, x, width < 0.75 ? 16 : scale(16), 'hardSwish');
    x = stages(layers, x, table, scale);
    const name = `blocks.${table.length}.0`;
    const names = { conv: `${name}.conv`, norm: `${name}.bn1` };
    x = convolve(layers, x, names, scale(last), { kernel: 1, activation: 'hardSwish' });
    x = layers.averagePool(x, 'global_pool');
    x = layers.hardSwish(layers.conv(x, 'conv_head', features, { kernel: 1, bias: true }), 'act2');
    return layers.flatten(x, 'flatten');
  };
