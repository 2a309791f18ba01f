import type { GraphBuilder } from '../../graph/builder.js';
import type { Value } from '../../graph/graph.js';
import { Random } from '../../random.js';
import { sizeOf, zeros, type Tensor } from '../../tensor.js';

/** How a parameter begins; `fanIn` and `fanOut` count inputs and outputs of one weight as PyTorch does. */
type Initial =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number };

interface Declared {
  readonly dims: readonly number[];
  readonly initial: Initial;
  readonly statistic: boolean;
}

export interface ConvOptions {
  readonly kernel?: number;
  readonly stride?: number;
  /** Default: keeps the size at stride 1. */
  readonly padding?: number;
  readonly groups?: number;
  readonly bias?: boolean;
}

/**
 * The words architectures are written in. Each takes the value it works on and the layer's name, declares the layer's parameters
 * as inputs of the graph under PyTorch's names (`conv1.weight`, `bn1.running_mean`), and returns its output.
 */
export interface Layers {
  readonly builder: GraphBuilder;
  /** A 2-D convolution without bias (unless asked for), weights Kaiming normal by fan-out as timm's ResNets (He et al. 2015). */
  conv(x: Value, name: string, channels: number, options?: ConvOptions): Value;
  /** Batch normalisation in inference form, eps 1e-5; `scale` is what its weight begins with. */
  batchNorm(x: Value, name: string, scale?: number): Value;
  /** A fully connected layer, weights and bias uniform in +-1/sqrt(inputs), PyTorch's default. */
  linear(x: Value, name: string, outputs: number): Value;
  relu(x: Value, name: string): Value;
  maxPool(x: Value, name: string, options: { readonly kernel: number; readonly stride: number; readonly padding?: number }): Value;
  /** The mean over all positions: [N, C, H, W] to [N, C]. */
  globalAveragePool(x: Value, name: string): Value;
  /** What was declared so far. */
  readonly declared: ReadonlyMap<string, Declared>;
}

/** The number of channels (or features) of [N, C, ...]. */
export const channelsOf = (x: Value): number => x.shape[1] as number;

/** Makes the layer vocabulary over a builder. */
export function createLayers(builder: GraphBuilder): Layers {
  const declared = new Map<string, Declared>();
  const parameter = (name: string, dims: readonly number[], initial: Initial, statistic = false): Value => {
    declared.set(name, { dims, initial, statistic });
    return builder.input(name, 'float32', dims);
  };
  const constant = (value: number): Initial => ({ kind: 'constant', value });

  return {
    builder,
    declared,
    conv(x, name, channels, { kernel = 3, stride = 1, padding = (kernel - 1) / 2, groups = 1, bias = false } = {}) {
      const fanOut = channels * kernel * kernel;
      const weight = parameter(`${name}.weight`, [channels, channelsOf(x) / groups, kernel, kernel],
        { kind: 'normal', std: Math.sqrt(2 / fanOut) });
      const operands = bias ? [x, weight, parameter(`${name}.bias`, [channels], constant(0))] : [x, weight];
      return builder.op('Conv', operands, {
        kernel_shape: [kernel, kernel], strides: [stride, stride], dilations: [1, 1], group: groups,
        pads: [padding, padding, padding, padding],
      }, { name });
    },
    batchNorm(x, name, scale = 1) {
      const dims = [channelsOf(x)];
      return builder.op('BatchNormalization', [
        x,
        parameter(`${name}.weight`, dims, constant(scale)),
        parameter(`${name}.bias`, dims, constant(0)),
        parameter(`${name}.running_mean`, dims, constant(0), true),
        parameter(`${name}.running_var`, dims, constant(1), true),
      ], { epsilon: 1e-5, momentum: 0.9 }, { name });
    },
    linear(x, name, outputs) {
      const inputs = channelsOf(x);
      const initial: Initial = { kind: 'uniform', bound: 1 / Math.sqrt(inputs) };
      const weight = parameter(`${name}.weight`, [outputs, inputs], initial);
      const bias = parameter(`${name}.bias`, [outputs], initial);
      return builder.op('Gemm', [x, weight, bias], { alpha: 1, beta: 1, transA: 0, transB: 1 }, { name });
    },
    relu: (x, name) => builder.op('Relu', [x], {}, { name }),
    maxPool: (x, name, { kernel, stride, padding = 0 }) => builder.op('MaxPool', [x], {
      kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [padding, padding, padding, padding],
    }, { name }),
    globalAveragePool(x, name) {
      const pooled = builder.op('GlobalAveragePool', [x], {}, { name });
      return builder.op('Flatten', [pooled], { axis: 1 }, { name: `${name}.flatten` });
    },
  };
}

/** First values for what was declared: each parameter has its own random stream, (seed, 'init', name). */
export function initialise(declared: ReadonlyMap<string, Declared>, seed: number): Map<string, Tensor> {
  return new Map([...declared].map(([name, { dims, initial }]) => [name, initialTensor(name, dims, initial, seed)]));
}

/** A float32 tensor drawn from the stream (seed, 'init', name). */
export function initialTensor(name: string, dims: readonly number[], initial: Initial, seed: number): Tensor {
  const values = zeros('float32', dims);
  const data = values.data as Float32Array;
  const random = new Random(seed, 'init', name);
  if (initial.kind === 'constant') data.fill(initial.value);
  else if (initial.kind === 'normal') for (let i = 0; i < data.length; i++) data[i] = initial.std * random.normal();
  else for (let i = 0; i < data.length; i++) data[i] = random.between(-initial.bound, initial.bound);
  return values;
}

/** Trainable numbers: what papers and timm count (statistics left out). */
export const countDeclared = (declared: ReadonlyMap<string, Declared>): number =>
  [...declared.values()].reduce((sum, { dims, statistic }) => sum + (statistic ? 0 : sizeOf(dims)), 0);
