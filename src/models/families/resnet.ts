import type { Value } from '../../graph/graph.js';
import { channelsOf, type Layers } from './layers.js';

/**
 * Residual networks (He et al., "Deep residual learning for image recognition", 2016), in timm's
 * form and with its parameter names: the stride of a bottleneck sits in its 3x3 convolution, and
 * the last normalisation of each block begins at zero, so that a fresh network is the identity
 * along its shortcuts.
 */

type Block = (layers: Layers, x: Value, name: string, options: BlockOptions) => Value;
type Shortcut = (layers: Layers, x: Value, name: string, channels: number, stride: number) => Value;

interface BlockOptions {
  /** Channels of the 3x3 convolutions. */
  readonly width: number;
  readonly stride: number;
  readonly shortcut: Shortcut;
}

/** 3x3, 3x3. `scale`: where the last normalisation's scale begins. */
const basicFrom =
  (scale: number): Block =>
  (layers, x, name, { width, stride, shortcut }) => {
    let y = layers.conv(x, `${name}.conv1`, width, { stride });
    y = layers.relu(layers.batchNorm(y, `${name}.bn1`), `${name}.act1`);
    y = layers.batchNorm(layers.conv(y, `${name}.conv2`, width), `${name}.bn2`, scale);
    return residual(layers, y, shortcut(layers, x, name, width, stride), name, 'act2');
  };

export const basic = basicFrom(0);

/** 1x1, 3x3, 1x1 to four times the width. */
export const bottleneck: Block = (layers, x, name, { width, stride, shortcut }) => {
  let y = layers.conv(x, `${name}.conv1`, width, { kernel: 1 });
  y = layers.relu(layers.batchNorm(y, `${name}.bn1`), `${name}.act1`);
  y = layers.conv(y, `${name}.conv2`, width, { stride });
  y = layers.relu(layers.batchNorm(y, `${name}.bn2`), `${name}.act2`);
  y = layers.batchNorm(layers.conv(y, `${name}.conv3`, 4 * width, { kernel: 1 }), `${name}.bn3`, 0);
  return residual(layers, y, shortcut(layers, x, name, 4 * width, stride), name, 'act3');
};

const residual = (layers: Layers, branch: Value, shortcut: Value, name: string, activation: string): Value =>
  layers.relu(layers.builder.op('Add', [branch, shortcut], {}, { name: `${name}.add` }), `${name}.${activation}`);

/** Option B of the paper: a 1x1 convolution where the shape changes, the identity elsewhere. */
const projection: Shortcut = (layers, x, name, channels, stride) => {
  if (stride === 1 && channelsOf(x) === channels) return x;
  const y = layers.conv(x, `${name}.downsample.0`, channels, { kernel: 1, stride });
  return layers.batchNorm(y, `${name}.downsample.1`);
};

/**
 * Option A: no parameters; every second pixel (a 1x1 pooling of stride 2), new channels zero, half
 * of them on either side.
 */
const padding: Shortcut = ({ builder }, x, name, channels, stride) => {
  if (stride === 1 && channelsOf(x) === channels) return x;
  const extra = (channels - channelsOf(x)) / 2;
  const fewer = builder.op(
    'AveragePool',
    [x],
    { kernel_shape: [1, 1], strides: [stride, stride], pads: [0, 0, 0, 0] },
    { name: `${name}.shortcut.stride` },
  );
  const pads = builder.ints([0, extra, 0, 0, 0, extra, 0, 0]);
  return builder.op('Pad', [fewer, pads], { mode: 'constant' }, { name: `${name}.shortcut.pad` });
};

interface Stages {
  readonly block: Block;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** Of the first stage; each later one has twice as many channels at half the size. */
  readonly width: number;
  readonly shortcut: Shortcut;
}

function stages(layers: Layers, x: Value, { block, depths, width, shortcut }: Stages): Value {
  depths.forEach((depth, stage) => {
    for (let i = 0; i < depth; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      x = block(layers, x, `layer${stage + 1}.${i}`, { width: width * 2 ** stage, stride, shortcut });
    }
  });
  return layers.globalAveragePool(x, 'global_pool');
}

/**
 * The ImageNet network: 7x7 stem of stride 2 and a max-pool, or with `small` a 3x3 stem that keeps
 * the size (for 32x32 images). `width`: channels of the stem and of the first stage's 3x3
 * convolutions.
 */
export const resnet =
  (block: Block, depths: readonly number[], stem: 'large' | 'small' = 'large', width = 64) =>
  (layers: Layers, x: Value): Value => {
    x = layers.conv(x, 'conv1', width, stem === 'large' ? { kernel: 7, stride: 2 } : {});
    x = layers.relu(layers.batchNorm(x, 'bn1'), 'act1');
    if (stem === 'large') x = layers.maxPool(x, 'maxpool', { kernel: 3, stride: 2, padding: 1 });
    return stages(layers, x, { block, depths, width, shortcut: projection });
  };

/**
 * The paper's CIFAR network of 6n+2 layers: three stages of n basic blocks, 16, 32 and 64 channels,
 * shortcuts of option A. Branches begin at full scale, as in the paper: with shortcuts that drop
 * pixels a branch that begins at zero takes epochs to matter.
 */
export const resnetSixN =
  (n: number) =>
  (layers: Layers, x: Value): Value => {
    x = layers.conv(x, 'conv1', 16);
    x = layers.relu(layers.batchNorm(x, 'bn1'), 'act1');
    return stages(layers, x, { block: basicFrom(1), depths: [n, n, n], width: 16, shortcut: padding });
  };
