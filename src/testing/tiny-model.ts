import { makePreprocessing } from '../data/preprocessing.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/graph.js';
import type { ParameterGroup } from '../models/groups.js';
import type { Model } from '../models/model.js';
import { Random } from '../random.js';
import { float32, sizeOf, type Tensor } from '../tensor.js';

export const tinySize = 8;

/**
 * A network small enough for the reference engine, with everything that a training step treats in
 * its own way: convolution, BatchNormalization, one residual block, optional Dropout, a linear
 * head. 8x8 pixels, 3 classes.
 */
export function tinyModel(
  options: {
    readonly dropout?: number;
    readonly seed?: number;
    readonly classes?: number;
    /** Default true. */
    readonly batchNormalization?: boolean;
  } = {},
): Model {
  const { dropout, seed = 1, classes = 3, batchNormalization = true } = options;
  const builder = new GraphBuilder('tiny');
  const parameters = new Map<string, Tensor>();
  const statistics = new Set<string>();
  const parameter = (name: string, dims: number[], fill: 'normal' | number): Value => {
    const random = new Random(seed, name);
    const fanIn = Math.max(1, sizeOf(dims.slice(1)));
    const data = Float32Array.from({ length: sizeOf(dims) }, () =>
      fill === 'normal' ? random.normal() * Math.sqrt(2 / fanIn) : fill,
    );
    parameters.set(name, float32(dims, data));
    return builder.input(name, 'float32', dims);
  };
  const convolution = (name: string, x: Value, out: number): Value => {
    const channels = x.shape[1] as number;
    const weight = parameter(`${name}.weight`, [out, channels, 3, 3], 'normal');
    return builder.op('Conv', [x, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] }, { name });
  };
  const normalization = (name: string, x: Value): Value => {
    if (!batchNormalization) return x;
    const channels = x.shape[1] as number;
    const inputs = [
      parameter(`${name}.weight`, [channels], 1),
      parameter(`${name}.bias`, [channels], 0),
      parameter(`${name}.running_mean`, [channels], 0),
      parameter(`${name}.running_var`, [channels], 1),
    ];
    statistics.add(`${name}.running_mean`).add(`${name}.running_var`);
    return builder.op('BatchNormalization', [x, ...inputs], { epsilon: 1e-5 }, { name });
  };

  let x: Value = builder.input('input', 'float32', ['N', 3, tinySize, tinySize]);
  x = builder.op('Relu', [normalization('bn1', convolution('conv1', x, 4))], {}, { name: 'relu1' });
  const branch = normalization('block.bn', convolution('block.conv', x, 4));
  x = builder.op('Relu', [builder.op('Add', [branch, x], {}, { name: 'block.add' })], {}, { name: 'relu2' });
  x = builder.op('GlobalAveragePool', [x], {}, { name: 'pool' });
  let features = builder.op('Flatten', [x], { axis: 1 }, { name: 'flatten' });
  if (dropout !== undefined)
    features = builder.op('Dropout', [features, builder.scalar(dropout)], {}, { name: 'drop', outputs: 1 });
  const weight = parameter('fc.weight', [classes, 4], 'normal');
  const bias = parameter('fc.bias', [classes], 0);
  builder.outputs({ logits: builder.op('Gemm', [features, weight, bias], { transB: 1 }, { name: 'fc' }) });

  return {
    graph: builder.build(),
    parameters,
    statistics,
    head: { node: 'fc', features: features.name, featureCount: 4, weight: 'fc.weight', bias: 'fc.bias', classes },
    preprocessing: makePreprocessing(tinySize, { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }),
    labels: Array.from({ length: classes }, (_, i) => `class ${i}`),
    architecture: 'tiny',
    pretrained: false,
    temperature: 1,
  };
}

/**
 * All trainable parameters in one group (weight decay on matrices and filters only), the named ones
 * frozen.
 */
export function tinyGroups(
  model: Model,
  options: { readonly frozen?: (name: string) => boolean; readonly weightDecay?: number } = {},
): ParameterGroup[] {
  const names = [...model.parameters.keys()].filter((name) => !model.statistics.has(name));
  const isFrozen = options.frozen ?? (() => false);
  const vector = (name: string): boolean => model.parameters.get(name)!.dims.length < 2;
  const group = (name: string, parameters: string[], weightDecay: number, frozen: boolean): ParameterGroup[] =>
    parameters.length === 0 ? [] : [{ name, parameters, lrScale: frozen ? 0 : 1, weightDecay, frozen }];
  const open = names.filter((name) => !isFrozen(name));
  return [
    ...group(
      'weights',
      open.filter((name) => !vector(name)),
      options.weightDecay ?? 0,
      false,
    ),
    ...group('vectors', open.filter(vector), 0, false),
    ...group('frozen', names.filter(isFrozen), 0, true),
  ];
}

/** Noisy 8x8 images, class by the channel that is brightest; `index` picks one of a fixed set. */
export function tinyBatch(indexes: readonly number[], classes = 3): { pixels: Tensor; targets: Tensor } {
  const area = tinySize * tinySize;
  const pixels = new Uint8Array(indexes.length * area * 3);
  const targets = new Float32Array(indexes.length * classes);
  indexes.forEach((index, row) => {
    const random = new Random(7, 'image', index);
    const label = index % classes;
    targets[row * classes + label] = 1;
    for (let i = 0; i < area * 3; i++) pixels[row * area * 3 + i] = random.integer(160) + (i % 3 === label ? 70 : 0);
  });
  return {
    pixels: { dtype: 'uint8', dims: [indexes.length, tinySize, tinySize, 3], data: pixels },
    targets: float32([indexes.length, classes], targets),
  };
}
