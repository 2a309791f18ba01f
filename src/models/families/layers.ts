import type { GraphBuilder, Operand } from '../../graph/builder.js';
import type { Attributes, Value } from '../../graph/graph.js';
import { Random } from '../../random.js';
import { sizeOf, zeros, type Tensor } from '../../tensor.js';

/** How a parameter begins. */
export type Initial =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number };

export interface Declared {
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
  /**
   * `fan-out` (default): Kaiming normal (He et al. 2015), biases zero. `fan-in`: PyTorch's default,
   * uniform in +-1/sqrt(inputs of one output).
   */
  readonly initial?: 'fan-out' | 'fan-in';
}

export interface LinearOptions {
  /** Default for both: uniform in +-1/sqrt(inputs), as in PyTorch. */
  readonly weight?: Initial;
  readonly bias?: Initial;
}

/**
 * The words architectures are written in. Each takes the value it works on and the layer's name,
 * declares the layer's parameters as inputs of the graph under PyTorch's names (`conv1.weight`,
 * `bn1.running_mean`), and returns its output.
 */
export interface Layers {
  readonly builder: GraphBuilder;
  /** A parameter that is no layer's own: a class token, a position embedding. */
  parameter(name: string, dims: readonly number[], initial: Initial): Value;
  /**
   * A 2-D convolution, without bias unless asked for. Grouped ones count a group's outputs as
   * fan-out, as TensorFlow's depthwise ones do.
   */
  conv(x: Value, name: string, channels: number, options?: ConvOptions): Value;
  /** Batch normalisation in inference form, eps 1e-5; `scale` is what its weight begins with. */
  batchNorm(x: Value, name: string, scale?: number): Value;
  /** Normalisation over the last axis, eps 1e-6 as in timm's vision transformers. */
  layerNorm(x: Value, name: string): Value;
  /** A fully connected layer over the last axis of [..., inputs]. */
  linear(x: Value, name: string, outputs: number, options?: LinearOptions): Value;
  relu(x: Value, name: string): Value;
  /** min(max(x, 0), 6) */
  relu6(x: Value, name: string): Value;
  sigmoid(x: Value, name: string): Value;
  /** min(max(x / 6 + 1/2, 0), 1) */
  hardSigmoid(x: Value, name: string): Value;
  /** x sigmoid(x), also called swish. */
  silu(x: Value, name: string): Value;
  /** x hardSigmoid(x) */
  hardSwish(x: Value, name: string): Value;
  /** x Phi(x) = x/2 (1 + erf(x / sqrt 2)) */
  gelu(x: Value, name: string): Value;
  maxPool(
    x: Value,
    name: string,
    options: { readonly kernel: number; readonly stride: number; readonly padding?: number },
  ): Value;
  /** The mean over all positions, which stay: [N, C, H, W] to [N, C, 1, 1]. */
  averagePool(x: Value, name: string): Value;
  /** [N, ...] to [N, F]. */
  flatten(x: Value, name: string): Value;
  /** Both: [N, C, H, W] to [N, C]. */
  globalAveragePool(x: Value, name: string): Value;
  /** What was declared so far. */
  readonly declared: ReadonlyMap<string, Declared>;
}

/** The number of channels (or features) of [N, C, ...]. */
export const channelsOf = (x: Value): number => x.shape[1] as number;

export const constant = (value: number): Initial => ({ kind: 'constant', value });
export const normal = (std: number): Initial => ({ kind: 'normal', std });
export const uniform = (bound: number): Initial => ({ kind: 'uniform', bound });

/** Makes the layer vocabulary over a builder. */
export function createLayers(builder: GraphBuilder): Layers {
  const declared = new Map<string, Declared>();
  const parameter = (name: string, dims: readonly number[], initial: Initial, statistic = false): Value => {
    declared.set(name, { dims, initial, statistic });
    return builder.input(name, 'float32', dims);
  };
  const op = (kind: string, inputs: readonly Operand[], name: string, attributes: Attributes = {}): Value =>
    builder.op(kind, inputs, attributes, { name });
  const sigmoid = (x: Value, name: string): Value => op('Sigmoid', [x], name);
  const hardSigmoid = (x: Value, name: string): Value => op('HardSigmoid', [x], name, { alpha: 1 / 6, beta: 0.5 });
  const averagePool = (x: Value, name: string): Value => op('GlobalAveragePool', [x], name);
  const flatten = (x: Value, name: string): Value => op('Flatten', [x], name, { axis: 1 });

  return {
    builder,
    declared,
    parameter,
    conv(
      x,
      name,
      channels,
      { kernel = 3, stride = 1, padding = (kernel - 1) / 2, groups = 1, bias = false, initial = 'fan-out' } = {},
    ) {
      const inputs = channelsOf(x) / groups,
        area = kernel * kernel;
      const spread = uniform(1 / Math.sqrt(inputs * area));
      const weight = parameter(
        `${name}.weight`,
        [channels, inputs, kernel, kernel],
        initial === 'fan-in' ? spread : normal(Math.sqrt(2 / ((channels * area) / groups))),
      );
      const shift = bias ? [parameter(`${name}.bias`, [channels], initial === 'fan-in' ? spread : constant(0))] : [];
      return op('Conv', [x, weight, ...shift], name, {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        dilations: [1, 1],
        group: groups,
        pads: [padding, padding, padding, padding],
      });
    },
    batchNorm(x, name, scale = 1) {
      const dims = [channelsOf(x)];
      return op(
        'BatchNormalization',
        [
          x,
          parameter(`${name}.weight`, dims, constant(scale)),
          parameter(`${name}.bias`, dims, constant(0)),
          parameter(`${name}.running_mean`, dims, constant(0), true),
          parameter(`${name}.running_var`, dims, constant(1), true),
        ],
        name,
        { epsilon: 1e-5, momentum: 0.9 },
      );
    },
    layerNorm(x, name) {
      const dims = [x.shape.at(-1) as number];
      return op(
        'LayerNormalization',
        [x, parameter(`${name}.weight`, dims, constant(1)), parameter(`${name}.bias`, dims, constant(0))],
        name,
        { axis: -1, epsilon: 1e-6 },
      );
    },
    linear(x, name, outputs, options = {}) {
      const inputs = x.shape.at(-1) as number;
      const spread = uniform(1 / Math.sqrt(inputs));
      const weight = parameter(`${name}.weight`, [outputs, inputs], options.weight ?? spread);
      const bias = parameter(`${name}.bias`, [outputs], options.bias ?? spread);
      const product = (rows: Value): Value =>
        op('Gemm', [rows, weight, bias], name, { alpha: 1, beta: 1, transA: 0, transB: 1 });
      if (x.shape.length === 2) return product(x);
      const rows = op('Reshape', [x, builder.ints([-1, inputs])], `${name}.rows`);
      return op(
        'Reshape',
        [product(rows), builder.ints([-1, ...(x.shape.slice(1, -1) as number[]), outputs])],
        `${name}.tokens`,
      );
    },
    relu: (x, name) => op('Relu', [x], name),
    relu6: (x, name) => op('Clip', [x, 0, 6], name),
    sigmoid,
    hardSigmoid,
    silu: (x, name) => op('Mul', [x, sigmoid(x, `${name}.sigmoid`)], name),
    hardSwish: (x, name) => op('Mul', [x, hardSigmoid(x, `${name}.sigmoid`)], name),
    gelu(x, name) {
      const inner = op('Erf', [op('Mul', [x, Math.SQRT1_2], `${name}.scale`)], `${name}.erf`);
      return op('Mul', [op('Mul', [x, 0.5], `${name}.half`), op('Add', [inner, 1], `${name}.shift`)], name);
    },
    maxPool: (x, name, { kernel, stride, padding = 0 }) =>
      op('MaxPool', [x], name, {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
      }),
    averagePool,
    flatten,
    globalAveragePool: (x, name) => flatten(averagePool(x, name), `${name}.flatten`),
  };
}

/**
 * First values for what was declared: each parameter has its own random stream, (seed, 'init',
 * name).
 */
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
