import koffi from 'koffi';
import { rowMajor, sizes } from './layouts.js';
import {
  argument,
  type ConvolutionLayouts,
  type ConvolutionMethod,
  type ConvolutionPart,
  type Dnnl,
  type DnnlType,
  type Handle,
  type Layout,
  type Normalization,
  type Operation,
  type PostOp,
  type WindowShape,
} from './dnnl.js';
import type { Call, OperationFunctions } from './functions.js';
import type { Session } from './session.js';
import { setThreads } from './threads.js';

/** What both versions of the C interface share, and `Abi`, what they do differently. */

const propagation = { training: 64, backward: 128 } as const;
const methods = { direct: 1, winograd: 2, automatic: 3 } as const;
const softmax = { accurate: 0x30000, logarithm: 0x30001 } as const;
const implementationQuery = 8;
/** Statuses: no implementation, and arguments that this operation does not take. */
const unimplemented = 3;
export const unfit = 2;
/** The library's own default. */
const cachedPrimitives = 1024;

/** `dnnl_query_*_md` and index of each argument. */
const queries: Readonly<Record<number, readonly [what: number, index: number]>> = {
  [argument.source]: [129, 0],
  [argument.source1]: [129, 1],
  [argument.sourceGradient]: [130, 0],
  [argument.weights]: [131, 0],
  [argument.bias]: [131, 1],
  [argument.weightsGradient]: [132, 0],
  [argument.biasGradient]: [132, 1],
  [argument.output]: [133, 0],
  [argument.outputGradient]: [134, 0],
  [argument.workspace]: [135, 0],
};

/** What the versions of the C interface do differently. Functions return statuses. */
export interface Abi {
  readonly wantsShift: boolean;
  /** Bits of `dnnl_normalization_flags_t`. */
  readonly flags: Readonly<Record<'given' | 'relu' | 'scale' | 'shift', number>>;
  /** Between the argument numbers of two post-ops. */
  readonly postOpStride: number;
  readonly operations: OperationFunctions;
  /** A layout that the library chooses. */
  any(dims: readonly number[], type: DnnlType): Layout;
  strided(dims: readonly number[], strides: readonly number[], type: DnnlType): Layout;
  /** The layout that an operation wants for an argument. */
  argumentLayout(description: Handle, what: number, index: number): Layout;
  /** A tensor's description as functions take it; also that of no tensor. */
  tensor(layout: Layout | undefined): unknown;
  /** An array of descriptions. */
  tensors(layouts: readonly Layout[]): Uint8Array | BigUint64Array;
  /** The descriptions of data and of a result that lies as it does: one in 2.x, two in 3.x. */
  dataAndResult(layout: Layout): readonly unknown[];
  elementwise(
    algorithm: number,
    alpha: number,
    beta: number,
  ): readonly [algorithm: number, alpha: number, beta: number];
  append(postOps: Handle, step: PostOp): number;
  /** Describes an operation into the session's slot; `hint` is the description that it follows. */
  describe(call: Call, values: readonly unknown[], attributes: Handle, hint?: Handle): number;
  /** Describes an operation of several tensors. */
  describeSeveral(call: Call, values: readonly unknown[]): number;
  close(): void;
}

/** A function with the values that it is to be called with. */
type Request = readonly [call: Call, ...values: readonly unknown[]];

/** The library, by one of its C interfaces. */
export class BoundLibrary implements Dnnl {
  constructor(
    private readonly session: Session,
    private readonly abi: Abi,
    private readonly runtime: number,
  ) {}

  get version(): string {
    return this.session.version;
  }

  get wantsShift(): boolean {
    return this.abi.wantsShift;
  }

  plain(dims: readonly number[], type: DnnlType = 'f32'): Layout {
    return this.abi.strided(dims, rowMajor(dims), type);
  }

  strided(dims: readonly number[], strides: readonly number[], type: DnnlType = 'f32'): Layout {
    return this.abi.strided(dims, strides, type);
  }

  any(dims: readonly number[], type: DnnlType = 'f32'): Layout {
    return this.abi.any(dims, type);
  }

  memory(layout: Layout): Handle {
    const { functions, slot, engine } = this.session;
    return this.session.made('a tensor', functions.memoryCreate(slot, this.abi.tensor(layout), engine, 0));
  }

  point(memory: Handle, data: Uint8Array): void {
    this.session.check('a tensor', this.session.functions.memoryPoint(memory, data));
  }

  releaseMemory(memory: Handle): void {
    this.session.functions.memoryDestroy(memory);
  }

  convolution(
    part: ConvolutionPart,
    methodName: ConvolutionMethod,
    { source, weights, bias, output }: ConvolutionLayouts,
    window: WindowShape,
    postOps: readonly PostOp[] = [],
  ): Operation | undefined {
    const { convolution, convolutionData, convolutionWeights } = this.abi.operations,
      method = methodName === 'winograd' ? methods.winograd : methods.direct,
      shape = windowValues(window);
    const [s, k, b, o] = this.tensors(source, weights, bias, output);
    if (part === 'forward')
      return this.find([convolution, propagation.training, method, s, k, b, o, ...shape], postOps);
    const [anySource, anyWeights, anyOutput] = this.tensors(
      this.any(source.dims, source.type),
      this.any(weights.dims, source.type),
      this.any(output.dims, output.type),
    );
    const none = this.abi.tensor(undefined),
      free = [anySource, anyWeights, none, anyOutput];
    return this.after(
      [convolution, propagation.training, methods.automatic, ...free, ...shape],
      part === 'input gradient'
        ? [convolutionData, method, s, k, o, ...shape]
        : [convolutionWeights, method, s, k, b, o, ...shape],
    );
  }

  batchNormalization(data: Layout, options: Normalization): Operation | undefined {
    return this.find(this.batchForward(data, options));
  }

  batchNormalizationGradient(gradient: Layout, data: Layout, options: Normalization): Operation | undefined {
    const { abi } = this;
    return this.after(this.batchForward(data, options), [
      abi.operations.batchBack,
      propagation.backward,
      ...abi.dataAndResult(gradient),
      abi.tensor(data),
      options.epsilon,
      this.flags(options),
    ]);
  }

  layerNormalization(data: Layout, statistics: Layout, epsilon: number): Operation | undefined {
    return this.find(this.layerForward(data, statistics, epsilon));
  }

  layerNormalizationGradient(
    gradient: Layout,
    data: Layout,
    statistics: Layout,
    epsilon: number,
  ): Operation | undefined {
    const { abi } = this;
    return this.after(this.layerForward(data, statistics, epsilon), [
      abi.operations.layerBack,
      propagation.backward,
      ...abi.dataAndResult(gradient),
      ...this.tensors(data, statistics),
      epsilon,
      abi.flags.scale | abi.flags.shift,
    ]);
  }

  pool(
    algorithm: number,
    source: Layout,
    output: Layout,
    kernel: readonly number[],
    window: WindowShape,
  ): Operation | undefined {
    const shape = poolValues(kernel, window);
    return this.find([
      this.abi.operations.pool,
      propagation.training,
      algorithm,
      ...this.tensors(source, output),
      ...shape,
    ]);
  }

  poolGradient(
    algorithm: number,
    source: Layout,
    output: Layout,
    kernel: readonly number[],
    window: WindowShape,
  ): Operation | undefined {
    const { pool, poolBack } = this.abi.operations,
      shape = poolValues(kernel, window);
    // a forward pool chooses its output's layout only
    const [from, to] = source.key.endsWith(']any')
      ? [this.plain(source.dims, source.type), this.any(output.dims, output.type)]
      : [source, output];
    return this.after(
      [pool, propagation.training, algorithm, ...this.tensors(from, to), ...shape],
      [poolBack, algorithm, ...this.tensors(source, output), ...shape],
    );
  }

  eltwise(
    algorithm: number,
    data: Layout,
    alpha: number,
    beta: number,
    postOps?: readonly PostOp[],
  ): Operation | undefined {
    return this.find(this.eltwiseForward(algorithm, data, alpha, beta), postOps);
  }

  eltwiseGradient(
    algorithm: number,
    gradient: Layout,
    data: Layout,
    alpha: number,
    beta: number,
  ): Operation | undefined {
    const { abi } = this,
      [number, a, b] = abi.elementwise(algorithm, alpha, beta);
    return this.after(this.eltwiseForward(algorithm, data, alpha, beta), [
      abi.operations.eltwiseBack,
      number,
      ...abi.dataAndResult(gradient),
      abi.tensor(data),
      a,
      b,
    ]);
  }

  binary(
    algorithm: number,
    first: Layout,
    second: Layout,
    output: Layout,
    postOps?: readonly PostOp[],
  ): Operation | undefined {
    return this.find([this.abi.operations.binary, algorithm, ...this.tensors(first, second, output)], postOps);
  }

  matmul(
    first: Layout,
    second: Layout,
    output: Layout,
    postOps?: readonly PostOp[],
    bias?: Layout,
  ): Operation | undefined {
    return this.find([this.abi.operations.matmul, ...this.tensors(first, second, bias, output)], postOps);
  }

  softmax(source: Layout, output: Layout, axis: number, logarithm: boolean): Operation | undefined {
    const algorithm = logarithm ? softmax.logarithm : softmax.accurate;
    return this.find([
      this.abi.operations.softmax,
      propagation.training,
      algorithm,
      ...this.tensors(source, output),
      axis,
    ]);
  }

  reduction(algorithm: number, source: Layout, output: Layout): Operation | undefined {
    return this.find([this.abi.operations.reduction, algorithm, ...this.tensors(source, output), 0, 0]);
  }

  reorder(source: Layout, output: Layout): Operation | undefined {
    const { functions, slot, engine } = this.session,
      [from, to] = this.tensors(source, output);
    return this.described(functions.reorder(slot, from, engine, to, engine, 0));
  }

  concat(axis: number, sources: readonly Layout[], output: Layout): Operation | undefined {
    const { abi } = this;
    const values = [abi.tensor(output), sources.length, axis, abi.tensors(sources)];
    return this.described(abi.describeSeveral(abi.operations.concat, values));
  }

  sum(sources: readonly Layout[], scales: readonly number[], output: Layout): Operation | undefined {
    const { abi } = this;
    const values = [abi.tensor(output), sources.length, Float32Array.from(scales), abi.tensors(sources)];
    return this.described(abi.describeSeveral(abi.operations.sum, values));
  }

  postOpArgument(index: number): number {
    return this.abi.postOpStride * (index + 1) + argument.source1;
  }

  execute(primitive: Handle, list: Uint8Array): void {
    const { functions, stream } = this.session;
    this.session.check('a primitive', functions.execute(primitive, stream, list.length / 16, list));
  }

  releasePrimitive(primitive: Handle): void {
    this.session.functions.destroy(primitive);
  }

  setThreads(count: number): boolean {
    return setThreads(this.runtime, count);
  }

  address(buffer: ArrayBuffer): number {
    return Number(koffi.address(buffer));
  }

  close(): void {
    const { functions, stream, engine } = this.session;
    // the library keeps primitives for later ones like them; they must not outlive the engine
    functions.cache(0);
    functions.cache(cachedPrimitives);
    this.abi.close();
    functions.streamDestroy(stream);
    functions.engineDestroy(engine);
  }

  private tensors(...layouts: readonly (Layout | undefined)[]): unknown[] {
    return layouts.map((layout) => this.abi.tensor(layout));
  }

  private flags({ given, relu }: Normalization): number {
    const { flags } = this.abi;
    return (given ? flags.given : 0) | (relu ? flags.relu : 0) | flags.scale | flags.shift;
  }

  private batchForward(data: Layout, options: Normalization): Request {
    const { abi } = this;
    const layouts = abi.dataAndResult(data);
    return [abi.operations.batch, propagation.training, ...layouts, options.epsilon, this.flags(options)];
  }

  private layerForward(data: Layout, statistics: Layout, epsilon: number): Request {
    const { operations, flags } = this.abi;
    const layouts = [...this.abi.dataAndResult(data), this.abi.tensor(statistics)];
    return [operations.layer, propagation.training, ...layouts, epsilon, flags.scale | flags.shift];
  }

  private eltwiseForward(algorithm: number, data: Layout, alpha: number, beta: number): Request {
    const [number, a, b] = this.abi.elementwise(algorithm, alpha, beta);
    return [this.abi.operations.eltwise, propagation.training, number, ...this.abi.dataAndResult(data), a, b];
  }

  /** The library's choice for an operation. */
  private find([call, ...values]: Request, postOps: readonly PostOp[] = [], hint?: Handle): Operation | undefined {
    return this.withAttributes(postOps, (attributes) =>
      this.described(this.abi.describe(call, values, attributes, hint)),
    );
  }

  /** An operation that follows another's description. */
  private after([forward, ...values]: Request, backward: Request): Operation | undefined {
    if (this.abi.describe(forward, values, 0) !== 0) return undefined;
    const hint = Number(this.session.slot[0]);
    try {
      return this.find(backward, [], hint);
    } finally {
      this.session.functions.descriptionDestroy(hint);
    }
  }

  /** The library's attributes for these post-ops, during `use`. */
  private withAttributes<T>(postOps: readonly PostOp[], use: (attributes: Handle) => T): T {
    if (postOps.length === 0) return use(0);
    const { session } = this,
      { functions, slot } = session;
    const attributes = session.made('attributes', functions.attributes(slot)),
      operations = session.made('post-ops', functions.postOps(slot));
    try {
      for (const step of postOps) session.check('a post-op', this.abi.append(operations, step));
      session.check('post-ops', functions.setPostOps(attributes, operations));
      return use(attributes);
    } finally {
      functions.postOpsDestroy(operations);
      functions.attributesDestroy(attributes);
    }
  }

  /** The operation that was just described; undefined where the library has none. */
  private described(status: number): Operation | undefined {
    if (status === unimplemented || status === unfit) return undefined;
    const { session, abi } = this,
      { functions, slot } = session,
      description = session.made('an operation', status);
    return {
      get implementation() {
        functions.query(description, implementationQuery, 0, slot);
        return koffi.decode.string(slot[0]);
      },
      layout: (which) => abi.argumentLayout(description, ...queries[which]!),
      create: () => session.made('a primitive', functions.create(slot, description)),
      release: () => void functions.descriptionDestroy(description),
    };
  }
}

/** A window as functions take it: a dilation is the number of elements between, 0 for none. */
function windowValues({ strides, dilations, begin, end }: WindowShape): BigInt64Array[] {
  return [sizes(strides), sizes(dilations.map((d) => d - 1)), sizes(begin), sizes(end)];
}

/** The window of a pool. */
function poolValues(kernel: readonly number[], window: WindowShape): BigInt64Array[] {
  const [strides, ...rest] = windowValues(window);
  return [strides!, sizes(kernel), ...rest];
}
