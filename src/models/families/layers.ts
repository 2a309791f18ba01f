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
   * uniform in ±1/sqrt(inputs of one output).
   */
  readonly initial?: 'fan-out' | 'fan-in';
}

export interface LinearOptions {
  /** Default for both: uniform in ±1/sqrt(inputs), as in PyTorch. */
  readonly weight?: Initial;
  readonly bias?: Initial;
}

export interface PoolOptions {
  readonly kernel: number;
  readonly stride: number;
  /** Default 0. */
  readonly padding?: number;
}

/** The number of channels (or features) of [N, C, ...]. */
export const channelsOf = (x: Value): number => x.shape[1] as number;

export const constant = (value: number): Initial => ({ kind: 'constant', value });
export const normal = (std: number): Initial => ({ kind: 'normal', std });
export const uniform = (bound: number): Initial => ({ kind: 'uniform', bound });

/**
 * The words architectures are written in. Each takes the value it works on and the layer's name,
 * declares the layer's parameters as inputs of the graph under PyTorch's names (`conv1.weight`,
 * `bn1.running_mean`), and returns its output.
 */
export class Layers {
  readonly builder: GraphBuilder;
  readonly #declared = new Map<string, Declared>();

  constructor(builder: GraphBuilder) {
    this.builder = builder;
  }

  /** What was declared so far. */
  get declared(): ReadonlyMap<string, Declared> {
    return this.#declared;
  }

  /** A parameter: a layer's, or one that is no layer's own (a class token, a position embedding). */
  parameter(name: string, dims: readonly number[], initial: Initial): Value {
    return this.#declare(name, { dims, initial, statistic: false });
  }

  /**
   * A 2-D convolution, without bias unless asked for. Grouped ones count a group's outputs as
   * fan-out, as TensorFlow's depthwise ones do.
   */
  conv(
    x: Value,
    name: string,
    channels: number,
    {
      kernel = 3,
      stride = 1,
      padding = (kernel - 1) / 2,
      groups = 1,
      bias = false,
      initial = 'fan-out',
    }: ConvOptions = {},
  ): Value {
    const inputs = channelsOf(x) / groups,
      area = kernel * kernel;
    const spread = uniform(1 / Math.sqrt(inputs * area));
    const weight = this.parameter(
      `${name}.weight`,
      [channels, inputs, kernel, kernel],
      initial === 'fan-in' ? spread : normal(Math.sqrt(2 / ((channels * area) / groups))),
    );
    const shift = bias ? [this.parameter(`${name}.bias`, [channels], initial === 'fan-in' ? spread : constant(0))] : [];
    return this.#op('Conv', [x, weight, ...shift], name, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      dilations: [1, 1],
      group: groups,
      pads: [padding, padding, padding, padding],
    });
  }

  /** Batch normalisation in inference form, eps 1e-5; `scale` is what its weight begins with. */
  batchNorm(x: Value, name: string, scale = 1): Value {
    const dims = [channelsOf(x)];
    const inputs = [
      x,
      this.parameter(`${name}.weight`, dims, constant(scale)),
      this.parameter(`${name}.bias`, dims, constant(0)),
      this.#declare(`${name}.running_mean`, { dims, initial: constant(0), statistic: true }),
      this.#declare(`${name}.running_var`, { dims, initial: constant(1), statistic: true }),
    ];
    return this.#op('BatchNormalization', inputs, name, { epsilon: 1e-5, momentum: 0.9 });
  }

  /** Normalisation over the last axis, eps 1e-6 as in timm's vision transformers. */
  layerNorm(x: Value, name: string): Value {
    const dims = [x.shape.at(-1) as number];
    const weight = this.parameter(`${name}.weight`, dims, constant(1));
    const bias = this.parameter(`${name}.bias`, dims, constant(0));
    return this.#op('LayerNormalization', [x, weight, bias], name, { axis: -1, epsilon: 1e-6 });
  }

  /** A fully connected layer over the last axis of [..., inputs]. */
  linear(x: Value, name: string, outputs: number, options: LinearOptions = {}): Value {
    const inputs = x.shape.at(-1) as number;
    const spread = uniform(1 / Math.sqrt(inputs));
    const weight = this.parameter(`${name}.weight`, [outputs, inputs], options.weight ?? spread);
    const bias = this.parameter(`${name}.bias`, [outputs], options.bias ?? spread);
    const product = (rows: Value): Value =>
      this.#op('Gemm', [rows, weight, bias], name, { alpha: 1, beta: 1, transA: 0, transB: 1 });
    if (x.shape.length === 2) return product(x);
    const rows = this.#op('Reshape', [x, this.builder.ints([-1, inputs])], `${name}.rows`);
    const dims = [-1, ...(x.shape.slice(1, -1) as number[]), outputs];
    return this.#op('Reshape', [product(rows), this.builder.ints(dims)], `${name}.tokens`);
  }

  relu(x: Value, name: string): Value {
    return this.#op('Relu', [x], name);
  }

  /** min(max(x, 0), 6) */
  relu6(x: Value, name: string): Value {
    return this.#op('Clip', [x, 0, 6], name);
  }

  sigmoid(x: Value, name: string): Value {
    return this.#op('Sigmoid', [x], name);
  }

  /** min(max(x / 6 + 1/2, 0), 1) */
  hardSigmoid(x: Value, name: string): Value {
    return this.#op('HardSigmoid', [x], name, { alpha: 1 / 6, beta: 0.5 });
  }

  /** x sigmoid(x), also called swish. */
  silu(x: Value, name: string): Value {
    return this.#op('Swish', [x], name);
  }

  /** x hardSigmoid(x) */
  hardSwish(x: Value, name: string): Value {
    return this.#op('HardSwish', [x], name);
  }

  /** x Phi(x), with Phi of the normal distribution. */
  gelu(x: Value, name: string): Value {
    return this.#op('Gelu', [x], name);
  }

  maxPool(x: Value, name: string, { kernel, stride, padding = 0 }: PoolOptions): Value {
    return this.#op('MaxPool', [x], name, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  }

  /** The mean over all positions, which stay: [N, C, H, W] to [N, C, 1, 1]. */
  averagePool(x: Value, name: string): Value {
    return this.#op('GlobalAveragePool', [x], name);
  }

  /** [N, ...] to [N, F]. */
  flatten(x: Value, name: string): Value {
    return this.#op('Flatten', [x], name, { axis: 1 });
  }

  /** Both: [N, C, H, W] to [N, C]. */
  globalAveragePool(x: Value, name: string): Value {
    return this.flatten(this.averagePool(x, name), `${name}.flatten`);
  }

  #declare(name: string, declared: Declared): Value {
    this.#declared.set(name, declared);
    return this.builder.input(name, 'float32', declared.dims);
  }

  #op(kind: string, inputs: readonly Operand[], name: string, attributes: Attributes = {}): Value {
    return this.builder.op(kind, inputs, attributes, { name });
  }
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
