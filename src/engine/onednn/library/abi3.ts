import koffi, { type LibraryHandle } from 'koffi';
import { blockedLayout, opaqueLayout, rowMajor, sizes } from './layouts.js';
import {
  argument,
  eltwise,
  type Dnnl,
  type DnnlType,
  type Handle,
  type Layout,
  type Normalization,
  type Operation,
  type PostOp,
  type WindowShape,
} from './dnnl.js';
import { setThreads } from './threads.js';

/**
 * The C interface of oneDNN 3.x: descriptors of tensors are objects of the library, asked by
 * queries, and each operation has a function of its own that makes its description. A layout's
 * `raw` is the address of such an object.
 */

const types: Readonly<Record<DnnlType, number>> = { bf16: 2, f32: 3, s32: 4, s8: 5, u8: 6 };
const typeNames = new Map(Object.entries(types).map(([name, code]) => [code, name as DnnlType]));
const kinds = { any: 1, blocked: 2 } as const;
const propagation = { training: 64, backward: 128 } as const;
const flags = { given: 1, scale: 2, shift: 4, relu: 8 } as const;
const methods = { direct: 1, winograd: 2, automatic: 3 } as const;
const unimplemented = 3;
/** Arguments that this operation does not take. */
const unfit = 2;
/** The library's own default. */
const cachedPrimitives = 1024;
/** `dnnl_query_t` of tensors. */
const tensor = {
  strides: 14,
  rank: 256,
  dims: 257,
  type: 258,
  offset: 259,
  padded: 260,
  kind: 262,
  blocks: 263,
  blockSizes: 264,
  blockAxes: 265,
} as const;
const implementationQuery = 8;

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

/** The numbers of 3.x for those of 2.x, where they differ. */
const algorithms: ReadonlyMap<number, number> = new Map([
  [eltwise.relu, 0x20],
  [eltwise.tanh, 0x21],
  [eltwise.elu, 0x22],
  [eltwise.square, 0x23],
  [eltwise.abs, 0x24],
  [eltwise.sqrt, 0x25],
  [eltwise.linear, 0x26],
  [eltwise.softplus, 0x27],
  [eltwise.logistic, 0x29],
  [eltwise.exp, 0x2a],
  [eltwise.geluTanh, 0x2b],
  [eltwise.swish, 0x2c],
  [eltwise.log, 0x2d],
  [eltwise.clip, 0x2e],
  [eltwise.power, 0x30],
  [eltwise.geluErf, 0x31],
  [eltwise.round, 0x32],
  [eltwise.mish, 0x33],
  [eltwise.hardSwish, 0x34],
]);

/**
 * An elementwise algorithm with its parameters as 3.x takes them: log(1 + exp(alpha x)) / alpha, x
 * clip(alpha x + beta, 0, 1).
 */
function elementwise(
  algorithm: number,
  alpha: number,
  beta: number,
): readonly [algorithm: number, alpha: number, beta: number] {
  const number = algorithms.get(algorithm) ?? algorithm;
  if (algorithm === eltwise.softplus) return [number, 1, 0];
  if (algorithm === eltwise.hardSwish) return [number, 1 / 6, 1 / 2];
  return [number, alpha, beta];
}

/** Functions of the library by their C names; every handle is a number. */
type Call = (...values: unknown[]) => number;

/** Binds the library's 3.x interface, with an engine on the CPU and one stream. */
export function createAbi3(library: LibraryHandle, version: string, runtime: number): Dnnl {
  const bind = (name: string, parameters: string, result = 'int'): Call =>
    library.func(`${result} dnnl_${name}(${parameters})`);
  const describing = (name: string, parameters: string): Call =>
    bind(`${name}_primitive_desc_create`, `void *out, size_t engine, ${parameters}, size_t attributes`);
  const window = 'void *strides, void *dilations, void *begin, void *end';
  const f = {
    engineCreate: bind('engine_create', 'void *out, int kind, size_t index'),
    engineDestroy: bind('engine_destroy', 'size_t engine'),
    streamCreate: bind('stream_create', 'void *out, size_t engine, uint flags'),
    streamDestroy: bind('stream_destroy', 'size_t stream'),
    byStrides: bind('memory_desc_create_with_strides', 'void *out, int rank, void *dims, int type, void *strides'),
    byTag: bind('memory_desc_create_with_tag', 'void *out, int rank, void *dims, int type, int tag'),
    clone: bind('memory_desc_clone', 'void *out, size_t descriptor'),
    forget: bind('memory_desc_destroy', 'size_t descriptor'),
    isEqual: bind('memory_desc_equal', 'size_t a, size_t b'),
    bytes: bind('memory_desc_get_size', 'size_t descriptor', 'size_t'),
    ask: bind('memory_desc_query', 'size_t descriptor, int what, void *out'),
    memoryCreate: bind('memory_create', 'void *out, size_t descriptor, size_t engine, size_t data'),
    memoryPoint: bind('memory_set_data_handle', 'size_t memory, void *data'),
    memoryDestroy: bind('memory_destroy', 'size_t memory'),
    describeDestroy: bind('primitive_desc_destroy', 'size_t description'),
    query: bind('primitive_desc_query', 'size_t description, int what, int index, void *out'),
    queryLayout: bind('primitive_desc_query_md', 'size_t description, int what, int index', 'size_t'),
    create: bind('primitive_create', 'void *out, size_t description'),
    destroy: bind('primitive_destroy', 'size_t primitive'),
    execute: bind('primitive_execute', 'size_t primitive, size_t stream, int count, void *list'),
    attributes: bind('primitive_attr_create', 'void *out'),
    attributesDestroy: bind('primitive_attr_destroy', 'size_t attributes'),
    setPostOps: bind('primitive_attr_set_post_ops', 'size_t attributes, size_t operations'),
    postOps: bind('post_ops_create', 'void *out'),
    postOpsDestroy: bind('post_ops_destroy', 'size_t operations'),
    appendEltwise: bind('post_ops_append_eltwise', 'size_t operations, int algorithm, float alpha, float beta'),
    appendBinary: bind('post_ops_append_binary', 'size_t operations, int algorithm, size_t other'),
    appendSum: bind('post_ops_append_sum', 'size_t operations, float scale, int zero, int type'),
    convolution: describing(
      'convolution_forward',
      `int propagation, int method, size_t source, size_t weights, size_t bias, size_t output, ${window}`,
    ),
    convolutionData: describing(
      'convolution_backward_data',
      `int method, size_t source, size_t weights, size_t output, ${window}, size_t hint`,
    ),
    convolutionWeights: describing(
      'convolution_backward_weights',
      `int method, size_t source, size_t weights, size_t bias, size_t output, ${window}, size_t hint`,
    ),
    batch: describing(
      'batch_normalization_forward',
      'int propagation, size_t source, size_t output, float epsilon, uint flags',
    ),
    batchBack: describing(
      'batch_normalization_backward',
      'int propagation, size_t sourceGradient, size_t gradient, size_t source, float epsilon, uint flags, size_t hint',
    ),
    layer: describing(
      'layer_normalization_forward',
      'int propagation, size_t source, size_t output, size_t statistics, float epsilon, uint flags',
    ),
    layerBack: describing(
      'layer_normalization_backward',
      'int propagation, size_t sourceGradient, size_t gradient, size_t source, size_t statistics, float epsilon, uint flags, size_t hint',
    ),
    pool: describing(
      'pooling_forward',
      'int propagation, int algorithm, size_t source, size_t output, void *strides, void *kernel, void *dilations, void *begin, void *end',
    ),
    poolBack: describing(
      'pooling_backward',
      'int algorithm, size_t source, size_t output, void *strides, void *kernel, void *dilations, void *begin, void *end, size_t hint',
    ),
    eltwise: describing(
      'eltwise_forward',
      'int propagation, int algorithm, size_t source, size_t output, float alpha, float beta',
    ),
    eltwiseBack: describing(
      'eltwise_backward',
      'int algorithm, size_t sourceGradient, size_t gradient, size_t data, float alpha, float beta, size_t hint',
    ),
    binary: describing('binary', 'int algorithm, size_t first, size_t second, size_t output'),
    matmul: describing('matmul', 'size_t first, size_t second, size_t bias, size_t output'),
    softmax: describing('softmax_forward', 'int propagation, int algorithm, size_t source, size_t output, int axis'),
    reduction: describing('reduction', 'int algorithm, size_t source, size_t output, float p, float epsilon'),
    concat: describing('concat', 'size_t output, int count, int axis, void *sources'),
    sum: describing('sum', 'size_t output, int count, void *scales, void *sources'),
    reorder: bind(
      'reorder_primitive_desc_create',
      'void *out, size_t source, size_t sourceEngine, size_t output, size_t outputEngine, size_t attributes',
    ),
    cache: bind('set_primitive_cache_capacity', 'int capacity'),
  };
  const slot = new BigUint64Array(1),
    short = new Int32Array(2),
    long = new BigInt64Array(1);
  const check = (what: string, status: number): void => {
    if (status !== 0) throw new Error(`oneDNN ${version}: ${what} failed with status ${status}`);
  };
  const made = (what: string, status: number): Handle => {
    check(what, status);
    return Number(slot[0]);
  };
  const engine = made('the engine', f.engineCreate(slot, 1, 0));
  const stream = made('the stream', f.streamCreate(slot, engine, 1));

  /** Every tensor's description there is, by what it says: they are few, and kept until the end. */
  const known = new Map<string, Layout>(),
    opaque: { readonly handle: Handle; readonly identity: string }[] = [],
    kept: Handle[] = [];
  const handleOf = ({ raw }: Layout): Handle => Number(new DataView(raw.buffer, raw.byteOffset).getBigUint64(0, true));
  const numberOf = (handle: Handle, what: number): number => {
    check('a query', f.ask(handle, what, short));
    return short[0]!;
  };
  const listOf = (handle: Handle, what: number, length: number): number[] => {
    if (length === 0) return [];
    check('a query', f.ask(handle, what, slot));
    return Array.from(koffi.decode(slot[0], koffi.array('int64', length, 'Array')) as (number | bigint)[], Number);
  };
  /** The layout that an object of the library describes; takes it over. */
  const layoutOf = (handle: Handle): Layout => {
    const rank = numberOf(handle, tensor.rank),
      dims = listOf(handle, tensor.dims, rank),
      kind = numberOf(handle, tensor.kind);
    const raw = new Uint8Array(BigUint64Array.of(BigInt(handle)).buffer),
      type = typeNames.get(numberOf(handle, tensor.type)) ?? 'f32';
    const keep = (text: string, make: (bytes: number) => Layout): Layout => {
      const before = known.get(text);
      if (before) {
        f.forget(handle);
        return before;
      }
      const layout = make(kind === kinds.any ? 0 : f.bytes(handle));
      kept.push(handle);
      known.set(text, layout);
      return layout;
    };
    if (kind === kinds.any)
      return keep(`any ${type} ${dims.join()}`, (bytes) => opaqueLayout({ dims, type, bytes, raw }, 'any'));
    if (kind !== kinds.blocked) {
      let same = opaque.find((other) => f.isEqual(other.handle, handle) === 1);
      if (!same) opaque.push((same = { handle, identity: `opaque ${opaque.length}` }));
      const { identity } = same;
      return keep(identity, (bytes) => opaqueLayout({ dims, type, bytes, raw }, identity));
    }
    const count = numberOf(handle, tensor.blocks);
    check('a query', f.ask(handle, tensor.offset, long));
    const blocked = {
      padded: listOf(handle, tensor.padded, rank),
      strides: listOf(handle, tensor.strides, rank),
      blocks: listOf(handle, tensor.blockSizes, count),
      axes: listOf(handle, tensor.blockAxes, count),
      offset: Number(long[0]),
      extra: 0,
    };
    return keep(JSON.stringify([type, dims, blocked]), (bytes) =>
      blockedLayout({ dims, type, bytes, raw, ...blocked }),
    );
  };
  const anyOf = (dims: readonly number[], type: DnnlType): Layout =>
    known.get(`any ${type} ${dims.join()}`) ??
    layoutOf(made('a layout', f.byTag(slot, dims.length, sizes(dims), types[type], 1)));
  const strided = (dims: readonly number[], strides: readonly number[], type: DnnlType): Layout =>
    layoutOf(made('a layout', f.byStrides(slot, dims.length, sizes(dims), types[type], sizes(strides))));
  const isAny = ({ key }: Layout): boolean => key.endsWith(']any');

  const operationOf = (description: Handle): Operation => ({
    get implementation() {
      f.query(description, implementationQuery, 0, slot);
      return koffi.decode.string(slot[0]);
    },
    layout(which) {
      const [what, index] = queries[which]!,
        own = f.queryLayout(description, what, index);
      return layoutOf(made('a layout', f.clone(slot, own)));
    },
    create: () => made('a primitive', f.create(slot, description)),
    release: () => void f.describeDestroy(description),
  });

  /** The library's attributes for these post-ops, during `use`. */
  const withAttributes = <T>(postOps: readonly PostOp[], use: (attributes: Handle) => T): T => {
    if (postOps.length === 0) return use(0);
    const attributes = made('attributes', f.attributes(slot)),
      operations = made('post-ops', f.postOps(slot));
    try {
      for (const step of postOps) {
        if (step.kind === 'eltwise')
          check('a post-op', f.appendEltwise(operations, ...elementwise(step.algorithm, step.alpha, step.beta)));
        else if (step.kind === 'binary')
          check('a post-op', f.appendBinary(operations, step.algorithm, handleOf(step.other)));
        else check('a post-op', f.appendSum(operations, step.scale, 0, 0));
      }
      check('post-ops', f.setPostOps(attributes, operations));
      return use(attributes);
    } finally {
      f.postOpsDestroy(operations);
      f.attributesDestroy(attributes);
    }
  };
  const finish = (status: number): Operation | undefined => {
    if (status === unimplemented || status === unfit) return undefined;
    return operationOf(made('an operation', status));
  };
  /** An operation; `values` stand between the engine and the attributes of its function. */
  const find = (call: Call, values: readonly unknown[], postOps: readonly PostOp[] = []): Operation | undefined =>
    withAttributes(postOps, (attributes) => finish(call(slot, engine, ...values, attributes)));
  /** An operation that follows another's description. */
  const after = (
    forward: Call,
    forwardValues: readonly unknown[],
    backward: Call,
    values: readonly unknown[],
  ): Operation | undefined => {
    if (forward(slot, engine, ...forwardValues, 0) !== 0) return undefined;
    const hint = Number(slot[0]);
    try {
      return find(backward, [...values, hint]);
    } finally {
      f.describeDestroy(hint);
    }
  };
  const windowOf = ({ strides, dilations, begin, end }: WindowShape): BigInt64Array[] => [
    sizes(strides),
    sizes(dilations.map((d) => d - 1)),
    sizes(begin),
    sizes(end),
  ];
  const flagsOf = ({ given, relu }: Normalization): number =>
    (given ? flags.given : 0) | (relu ? flags.relu : 0) | flags.scale | flags.shift;
  const handlesOf = (layouts: readonly Layout[]): BigUint64Array =>
    BigUint64Array.from(layouts, (layout) => BigInt(handleOf(layout)));
  const poolValues = (
    algorithm: number,
    source: Layout,
    output: Layout,
    kernel: readonly number[],
    shape: WindowShape,
  ): unknown[] => {
    const [strides, dilations, begin, end] = windowOf(shape);
    return [algorithm, handleOf(source), handleOf(output), strides, sizes(kernel), dilations, begin, end];
  };

  return {
    version,
    wantsShift: false,
    plain: (dims, type = 'f32') => strided(dims, rowMajor(dims), type),
    strided: (dims, strides, type = 'f32') => strided(dims, strides, type),
    any: (dims, type = 'f32') => anyOf(dims, type),
    memory: (layout) => made('a tensor', f.memoryCreate(slot, handleOf(layout), engine, 0)),
    point: (memory, data) => check('a tensor', f.memoryPoint(memory, data)),
    releaseMemory: (memory) => void f.memoryDestroy(memory),
    convolution(part, methodName, { source, weights, bias, output }, shape, postOps = []) {
      const w = windowOf(shape),
        method = methodName === 'winograd' ? methods.winograd : methods.direct;
      const [s, k, b, o] = [handleOf(source), handleOf(weights), bias ? handleOf(bias) : 0, handleOf(output)];
      if (part === 'forward') return find(f.convolution, [propagation.training, method, s, k, b, o, ...w], postOps);
      const free = [source, { ...weights, type: source.type }, output].map(({ dims, type }) =>
        handleOf(anyOf(dims, type)),
      );
      const forward = [propagation.training, methods.automatic, free[0], free[1], 0, free[2], ...w];
      return part === 'input gradient'
        ? after(f.convolution, forward, f.convolutionData, [method, s, k, o, ...w])
        : after(f.convolution, forward, f.convolutionWeights, [method, s, k, b, o, ...w]);
    },
    batchNormalization(data, options) {
      const d = handleOf(data);
      return find(f.batch, [propagation.training, d, d, options.epsilon, flagsOf(options)]);
    },
    batchNormalizationGradient(gradient, data, options) {
      const [d, g] = [handleOf(data), handleOf(gradient)];
      return after(f.batch, [propagation.training, d, d, options.epsilon, flagsOf(options)], f.batchBack, [
        propagation.backward,
        g,
        g,
        d,
        options.epsilon,
        flagsOf(options),
      ]);
    },
    layerNormalization(data, statistics, epsilon) {
      const d = handleOf(data);
      return find(f.layer, [propagation.training, d, d, handleOf(statistics), epsilon, flags.scale | flags.shift]);
    },
    layerNormalizationGradient(gradient, data, statistics, epsilon) {
      const [d, g, s] = [handleOf(data), handleOf(gradient), handleOf(statistics)];
      return after(f.layer, [propagation.training, d, d, s, epsilon, flags.scale | flags.shift], f.layerBack, [
        propagation.backward,
        g,
        g,
        d,
        s,
        epsilon,
        flags.scale | flags.shift,
      ]);
    },
    pool: (algorithm, source, output, kernel, shape) =>
      find(f.pool, [propagation.training, ...poolValues(algorithm, source, output, kernel, shape)]),
    poolGradient(algorithm, source, output, kernel, shape) {
      // a forward pool chooses its output's layout only
      const [from, to] = isAny(source)
        ? [strided(source.dims, rowMajor(source.dims), source.type), anyOf(output.dims, output.type)]
        : [source, output];
      return after(
        f.pool,
        [propagation.training, ...poolValues(algorithm, from, to, kernel, shape)],
        f.poolBack,
        poolValues(algorithm, source, output, kernel, shape),
      );
    },
    eltwise(algorithm, data, alpha, beta, postOps) {
      const [number, a, b] = elementwise(algorithm, alpha, beta),
        d = handleOf(data);
      return find(f.eltwise, [propagation.training, number, d, d, a, b], postOps);
    },
    eltwiseGradient(algorithm, gradient, data, alpha, beta) {
      const [number, a, b] = elementwise(algorithm, alpha, beta),
        [d, g] = [handleOf(data), handleOf(gradient)];
      return after(f.eltwise, [propagation.training, number, d, d, a, b], f.eltwiseBack, [number, g, g, d, a, b]);
    },
    binary: (algorithm, first, second, output, postOps) =>
      find(f.binary, [algorithm, ...[first, second, output].map(handleOf)], postOps),
    matmul: (first, second, output, postOps, bias) =>
      find(f.matmul, [handleOf(first), handleOf(second), bias ? handleOf(bias) : 0, handleOf(output)], postOps),
    softmax: (source, output, axis, logarithm) =>
      find(f.softmax, [propagation.training, logarithm ? 0x30001 : 0x30000, handleOf(source), handleOf(output), axis]),
    reduction: (algorithm, source, output) => find(f.reduction, [algorithm, handleOf(source), handleOf(output), 0, 0]),
    reorder: (source, output) => finish(f.reorder(slot, handleOf(source), engine, handleOf(output), engine, 0)),
    concat: (axis, sources, output) => find(f.concat, [handleOf(output), sources.length, axis, handlesOf(sources)]),
    sum: (sources, scales, output) =>
      find(f.sum, [handleOf(output), sources.length, Float32Array.from(scales), handlesOf(sources)]),
    postOpArgument: (index) => 32768 * (index + 1) + argument.source1,
    execute: (primitive, list) => check('a primitive', f.execute(primitive, stream, list.length / 16, list)),
    releasePrimitive: (primitive) => void f.destroy(primitive),
    setThreads: (count) => setThreads(runtime, count),
    address: (buffer) => Number(koffi.address(buffer)),
    close() {
      // the library keeps primitives for later ones like them; they must not outlive the engine
      f.cache(0);
      f.cache(cachedPrimitives);
      for (const handle of kept) f.forget(handle);
      f.streamDestroy(stream);
      f.engineDestroy(engine);
    },
  };
}
