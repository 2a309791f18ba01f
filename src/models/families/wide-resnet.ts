import type { Value } from '../../graph/graph.js';
import { channelsOf, type Layers } from './layers.js';

/**
 * WRN-d-k (Zagoruyko and Komodakis, "Wide residual networks", 2016): three stages of (d-4)/6
 * pre-activation blocks with 16k, 32k and 64k channels. A block normalises and activates first;
 * where the shape changes, a 1x1 convolution of the *activated* input is its shortcut, as in the
 * authors' code. Parameter names follow this project's ResNets.
 */
export const wideResnet =
  (depth: number, factor: number) =>
  (layers: Layers, x: Value): Value => {
    const blocks = (depth - 4) / 6;
    x = layers.conv(x, 'conv1', 16);
    for (let stage = 0; stage < 3; stage++) {
      for (let i = 0; i < blocks; i++) {
        x = preActivation(layers, x, `layer${stage + 1}.${i}`, 16 * factor * 2 ** stage, stage > 0 && i === 0 ? 2 : 1);
      }
    }
    x = layers.relu(layers.batchNorm(x, 'bn1'), 'act1');
    return layers.globalAveragePool(x, 'global_pool');
  };

function preActivation(layers: Layers, x: Value, name: string, width: number, stride: number): Value {
  const active = layers.relu(layers.batchNorm(x, `${name}.bn1`), `${name}.act1`);
  const same = stride === 1 && channelsOf(x) === width;
  let y = layers.conv(active, `${name}.conv1`, width, { stride });
  y = layers.relu(layers.batchNorm(y, `${name}.bn2`), `${name}.act2`);
  y = layers.conv(y, `${name}.conv2`, width);
  const shortcut = same ? x : layers.conv(active, `${name}.shortcut`, width, { kernel: 1, stride });
  return layers.builder.op('Add', [y, shortcut], {}, { name: `${name}.add` });
}
