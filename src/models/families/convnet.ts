import type { Value } from '../../graph/graph.js';
import type { Layers } from './layers.js';

/**
 * Plain blocks of 3x3 convolution, batch normalisation, ReLU and 2x2 max-pool: one per width.
 * Trains in seconds on digits.
 */
export const convnet =
  (widths: readonly number[]) =>
  (layers: Layers, x: Value): Value => {
    widths.forEach((width, i) => {
      const name = `blocks.${i}`;
      x = layers.conv(x, `${name}.conv`, width);
      x = layers.relu(layers.batchNorm(x, `${name}.bn`), `${name}.act`);
      if (i < widths.length - 1) x = layers.maxPool(x, `${name}.pool`, { kernel: 2, stride: 2 });
    });
    return layers.globalAveragePool(x, 'global_pool');
  };
