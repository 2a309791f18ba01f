/**
 * What the engine asks of the oneDNN library, independent of the version of its C interface
 * (abi2.ts: 2.x, abi3.ts: 3.x). Handles are addresses, which fit a number on every system that
 * oneDNN exists for.
 */

/** Element types of tensors that the library computes with. */
export type DnnlType = 'f32' | 'bf16' | 's32' | 's8' | 'u8';

/** How a tensor lies in memory. */
export interface Layout {
  /** At least one axis: a scalar is [1]. */
  readonly dims: readonly number[];
  readonly type: DnnlType;
  /** Equal for layouts that put every element at the same place. */
  readonly key: string;
  /** Bytes, padding included. */
  readonly bytes: number;
  /** Row-major without gaps. */
  readonly isRowMajor: boolean;
  /** Row-major without gaps, of float32 (not bfloat16): what loops of ours and callers read. */
  readonly isPlain: boolean;
  /**
   * The axes as they lie in memory, the outermost first, parts of one axis by themselves; undefined
   * with gaps other than padding.
   */
  readonly order?: readonly { readonly axis: number; readonly size: number }[] | undefined;
  /** The library's own description. */
  readonly raw: Uint8Array;
}

/** Elements of a layout, padding included. */
export const elementsOf = ({ bytes, type }: Layout): number =>
  bytes / (type === 'bf16' ? 2 : type === 'f32' || type === 's32' ? 4 : 1);

/**
 * The library's code for bfloat16 is made for processors that compute with it, by the name of an
 * implementation.
 */
export const computesBfloat16 = (implementation: string): boolean => /avx512_core_bf16|amx|avx10/.test(implementation);

export type Handle = number;

/** A chosen implementation of a computation, not yet generated. */
export interface Operation {
  /** The library's name of the implementation: `jit:avx512_core`. */
  readonly implementation: string;
  /** The layout it wants for an argument (`argument.output`...). */
  layout(argument: number): Layout;
  /** Generates the code. */
  create(): Handle;
  /** Forgets the choice; primitives made from it stay. */
  release(): void;
}

/** One more step on the result before it is written. */
export type PostOp =
  | { readonly kind: 'eltwise'; readonly algorithm: number; readonly alpha: number; readonly beta: number }
  | { readonly kind: 'binary'; readonly algorithm: number; readonly other: Layout }
  | { readonly kind: 'sum'; readonly scale: number };

export interface WindowShape {
  readonly strides: readonly number[];
  /** As in ONNX: 1 is no dilation. */
  readonly dilations: readonly number[];
  readonly begin: readonly number[];
  readonly end: readonly number[];
}

/** `bfloat16`: direct, of tensors in bfloat16. */
export type ConvolutionMethod = 'direct' | 'winograd' | 'bfloat16';
export type ConvolutionPart = 'forward' | 'input gradient' | 'weight gradient';

/** Layouts by role; gradients take the role of what they are gradients of. */
export interface ConvolutionLayouts {
  readonly source: Layout;
  readonly weights: Layout;
  readonly bias?: Layout;
  readonly output: Layout;
}

export interface Normalization {
  readonly epsilon: number;
  /** Statistics are given instead of computed. */
  readonly given: boolean;
  readonly relu?: boolean;
}

/** Every method returns undefined where the library has no implementation. */
export interface Dnnl {
  readonly version: string;
  /** Whether the gradient of a batch normalisation wants the shift, which it does not read. */
  readonly wantsShift: boolean;
  plain(dims: readonly number[], type?: DnnlType): Layout;
  strided(dims: readonly number[], strides: readonly number[], type?: DnnlType): Layout;
  /** The library chooses. */
  any(dims: readonly number[], type?: DnnlType): Layout;
  /** A tensor without data. */
  memory(layout: Layout): Handle;
  /** Says where a tensor's data is. */
  point(memory: Handle, data: Uint8Array): void;
  releaseMemory(memory: Handle): void;
  convolution(
    part: ConvolutionPart,
    method: ConvolutionMethod,
    layouts: ConvolutionLayouts,
    window: WindowShape,
    postOps?: readonly PostOp[],
  ): Operation | undefined;
  batchNormalization(data: Layout, options: Normalization): Operation | undefined;
  batchNormalizationGradient(gradient: Layout, data: Layout, options: Normalization): Operation | undefined;
  layerNormalization(data: Layout, statistics: Layout, epsilon: number): Operation | undefined;
  layerNormalizationGradient(
    gradient: Layout,
    data: Layout,
    statistics: Layout,
    epsilon: number,
  ): Operation | undefined;
  pool(
    algorithm: number,
    source: Layout,
    output: Layout,
    kernel: readonly number[],
    window: WindowShape,
  ): Operation | undefined;
  poolGradient(
    algorithm: number,
    source: Layout,
    output: Layout,
    kernel: readonly number[],
    window: WindowShape,
  ): Operation | undefined;
  eltwise(
    algorithm: number,
    data: Layout,
    alpha: number,
    beta: number,
    postOps?: readonly PostOp[],
  ): Operation | undefined;
  eltwiseGradient(
    algorithm: number,
    gradient: Layout,
    data: Layout,
    alpha: number,
    beta: number,
  ): Operation | undefined;
  binary(
    algorithm: number,
    first: Layout,
    second: Layout,
    output: Layout,
    postOps?: readonly PostOp[],
  ): Operation | undefined;
  matmul(
    first: Layout,
    second: Layout,
    output: Layout,
    postOps?: readonly PostOp[],
    bias?: Layout,
  ): Operation | undefined;
  softmax(source: Layout, output: Layout, axis: number, logarithm: boolean): Operation | undefined;
  reduction(algorithm: number, source: Layout, output: Layout): Operation | undefined;
  reorder(source: Layout, output: Layout): Operation | undefined;
  concat(axis: number, sources: readonly Layout[], output: Layout): Operation | undefined;
  sum(sources: readonly Layout[], scales: readonly number[], output: Layout): Operation | undefined;
  /** The number of the second operand of post-op `index`. */
  postOpArgument(index: number): number;
  /** `list` is `packed` arguments. */
  execute(primitive: Handle, list: Uint8Array): void;
  releasePrimitive(primitive: Handle): void;
  /**
   * Threads of the calls that this thread makes from now on; false where the library's threads
   * cannot be set.
   */
  setThreads(count: number): boolean;
  /** Where a buffer is. */
  address(buffer: ArrayBuffer): number;
  close(): void;
}

/** The library's numbers of arguments. */
export const argument = {
  source: 1,
  source1: 2,
  output: 17,
  weights: 33,
  bias: 41,
  mean: 49,
  variance: 50,
  scale: 51,
  shift: 52,
  workspace: 64,
  scratchpad: 80,
  sourceGradient: 129,
  outputGradient: 145,
  weightsGradient: 161,
  biasGradient: 169,
  scaleGradient: 255,
  shiftGradient: 256,
  /** Plus the index: inputs of concat and sum. */
  several: 1024,
} as const;

/** Arguments as the library reads them: an int and an address each. */
export function packed(list: readonly (readonly [argument: number, memory: Handle])[]): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(16 * list.length));
  const view = new DataView(bytes.buffer);
  list.forEach(([number, memory], i) => {
    view.setInt32(16 * i, number, true);
    view.setBigUint64(16 * i + 8, BigInt(memory), true);
  });
  return bytes;
}

/** Algorithms by what they compute; the numbers are those of 2.x. */
export const eltwise = {
  relu: 0x1f,
  tanh: 0x2f,
  elu: 0x3f,
  square: 0x4f,
  abs: 0x5f,
  sqrt: 0x6f,
  linear: 0x7f,
  softplus: 0x9f,
  logistic: 0xaf,
  exp: 0xbf,
  geluTanh: 0xcf,
  swish: 0xdf,
  log: 0xef,
  clip: 0xff,
  power: 0x20,
  geluErf: 0x30,
  round: 0x40,
  mish: 0x60,
  hardSwish: 0x70,
  /** Gradients from the result instead of the input. */
  reluOfResult: 0x100,
  clipOfResult: 0x106,
} as const;
export const binary = {
  add: 0x1fff0,
  multiply: 0x1fff1,
  max: 0x1fff2,
  min: 0x1fff3,
  divide: 0x1fff4,
  subtract: 0x1fff5,
  greaterOrEqual: 0x1fff6,
  greater: 0x1fff7,
  lessOrEqual: 0x1fff8,
  less: 0x1fff9,
  equal: 0x1fffa,
} as const;
export const pooling = { max: 0x1ff, averageWithPadding: 0x2ff, averageWithoutPadding: 0x3ff } as const;
export const reduction = { max: 0x2fff2, min: 0x2fff3, sum: 0x2fff4, multiply: 0x2fff5, mean: 0x2fff6 } as const;
