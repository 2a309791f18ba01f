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
import { repeated } from './mobilenet.js';

/** A quarter of the channels before the block, whatever its expansion. */
const squeeze: SqueezeExcitation = {
  channels: (_, before) => Math.round(before / 4),
  activation: 'silu',
  gate: 'sigmoid',
};

const blocks = blocksWith('silu', squeeze);

/**
 * Table 1 of Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural
 * networks", 2019.
 */
const table: readonly (readonly Blocks[])[] = [
  [blocks(1, 3, 1, undefined, 16)],
  [blocks(2, 3, 2, 6, 24)],
  [blocks(2, 5, 2, 6, 40)],
  [blocks(3, 3, 2, 6, 80)],
  [blocks(3, 5, 1, 6, 112)],
  [blocks(4, 5, 2, 6, 192)],
  [blocks(1, 3, 1, 6, 320)],
];

/**
 * EfficientNet by compound scaling: `width` times the channels and `depth` times the blocks of B0,
 * rounded up.
 */
export const efficientnet =
  (width: number, depth: number) =>
  (layers: Layers, x: Value): Value => {
    const scale = (channels: number): number => roundChannels(channels * width);
    x = stem(layers, x, scale(32), 'silu');
    const deeper = table.map((stage) => stage.map(repeated(depth)));
    x = stages(layers, x, deeper, scale);
    x = convolve(layers, x, { conv: 'conv_head', norm: 'bn2' }, scale(1280), { kernel: 1, activation: 'silu' });
    return layers.globalAveragePool(x, 'global_pool');
  };
