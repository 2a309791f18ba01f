import koffi, { type LibraryHandle } from 'koffi';
import { blockedLayout, opaqueLayout, rowMajor, sizes } from './layouts.js';
import type {
  ConvolutionPart,
  Dnnl,
  DnnlType,
  Handle,
  Layout,
  Normalization,
  Operation,
  PostOp,
  WindowShape,
} from './dnnl.js';
import { argument } from './dnnl.js';
import { setThreads } from './threads.js';

/**
 * The C interface of oneDNN 2.x: descriptors of tensors and of operations are structs, filled by
 * functions of the library. Sizes and positions are those of 2.6's header (dnnl_types.h); they are
 * the same in 2.5 to 2.7.
 */

/**
 * Bytes of a struct for any operation (the largest, a recurrent one, has 12 tensor descriptors).
 */
const operationBytes = 16384;
const memoryDescriptor = {
  bytes: 696,
  dims: 8,
  type: 104,
  padded: 112,
  offset: 304,
  kind: 312,
  strides: 320,
  blocks: 416,
  blockSizes: 424,
  blockAxes: 520,
  flags: 616,
} as const;
const types: Readonly<Record<DnnlType, number>> = { bf16: 2, f32: 3, s32: 4, s8: 5, u8: 6 };
const typeNames = new Map(Object.entries(types).map(([name, code]) => [code, name as DnnlType]));
const kinds = { any: 1, blocked: 2 } as const;
const propagation = { training: 64, backward: 128, backwardData: 160 } as const;
const flags = { given: 1, relu: 4, scale: 8, shift: 16 } as const;
const unimplemented = 3;
/** Arguments that this operation does not take. */
const unfit = 2;
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

/** A layout from the library's struct. */
function layoutOf(raw: Uint8Array, bytes: number): Layout {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const d = memoryDescriptor;
  const list = (at: number, count: number): number[] =>
    Array.from({ length: count }, (_, i) => Number(view.getBigInt64(at + 8 * i, true)));
  const rank = view.getInt32(0, true),
    dims = list(d.dims, rank),
    count = view.getInt32(d.blocks, true);
  const type = typeNames.get(view.getInt32(d.type, true)) ?? 'f32',
    kind = view.getInt32(d.kind, true);
  if (kind !== kinds.blocked)
    return opaqueLayout({ dims, type, bytes, raw }, kind === kinds.any ? 'any' : Buffer.from(raw).toString('base64'));
  return blockedLayout({
    dims,
    type,
    bytes,
    raw,
    padded: list(d.padded, rank),
    strides: list(d.strides, rank),
    blocks: list(d.blockSizes, count),
    axes: list(d.blockAxes, count),
    offset: Number(view.getBigInt64(d.offset, true)),
    extra: Number(view.getBigUint64(d.flags, true)),
  });
}

/**
 * Functions of the library by their C names; every handle is a number, every struct a byte array.
 */
type Call = (...values: unknown[]) => number;

/** Binds the library's 2.x interface, with an engine on the CPU and one stream. */
export function createAbi2(library: LibraryHandle, version: string, runtime: number): Dnnl {
  const bind = (name: string, parameters: string, result = 'int'): Call =>
    library.func(`${result} dnnl_${name}(${parameters})`);
  const f = {
    engineCreate: bind('engine_create', 'void *out, int kind, size_t index'),
    engineDestroy: bind('engine_destroy', 'size_t engine'),
    streamCreate: bind('stream_create', 'void *out, size_t engine, uint flags'),
    streamDestroy: bind('stream_destroy', 'size_t stream'),
    byStrides: bind('memory_desc_init_by_strides', 'void *out, int rank, void *dims, int type, void *strides'),
    byTag: bind('memory_desc_init_by_tag', 'void *out, int rank, void *dims, int type, int tag'),
    bytes: bind('memory_desc_get_size', 'void *descriptor', 'size_t'),
    memoryCreate: bind('memory_create', 'void *out, void *descriptor, size_t engine, size_t data'),
    memoryPoint: bind('memory_set_data_handle', 'size_t memory, void *data'),
    memoryDestroy: bind('memory_destroy', 'size_t memory'),
    describe: bind(
      'primitive_desc_create',
      'void *out, void *operation, size_t attributes, size_t engine, size_t hint',
    ),
    describeDestroy: bind('primitive_desc_destroy', 'size_t description'),
    query: bind('primitive_desc_query', 'size_t description, int what, int index, void *out'),
    create: bind('primitive_create', 'void *out, size_t description'),
    destroy: bind('primitive_destroy', 'size_t primitive'),
    execute: bind('primitive_execute', 'size_t primitive, size_t stream, int count, void *list'),
    attributes: bind('primitive_attr_create', 'void *out'),
    attributesDestroy: bind('primitive_attr_destroy', 'size_t attributes'),
    setPostOps: bind('primitive_attr_set_post_ops', 'size_t attributes, size_t operations'),
    postOps: bind('post_ops_create', 'void *out'),
    postOpsDestroy: bind('post_ops_destroy', 'size_t operations'),
    appendEltwise: bind(
      'post_ops_append_eltwise',
      'size_t operations, float scale, int algorithm, float alpha, float beta',
    ),
    appendBinary: bind('post_ops_append_binary', 'size_t operations, int algorithm, void *other'),
    appendSum: bind('post_ops_append_sum', 'size_t operations, float scale'),
    convolution: bind(
      'dilated_convolution_forward_desc_init',
      'void *out, int propagation, int method, void *source, void *weights, void *bias, void *output, void *strides, void *dilations, void *begin, void *end',
    ),
    convolutionData: bind(
      'dilated_convolution_backward_data_desc_init',
      'void *out, int method, void *source, void *weights, void *output, void *strides, void *dilations, void *begin, void *end',
    ),
    convolutionWeights: bind(
      'dilated_convolution_backward_weights_desc_init',
      'void *out, int method, void *source, void *weights, void *bias, void *output, void *strides, void *dilations, void *begin, void *end',
    ),
    batch: bind(
      'batch_normalization_forward_desc_init',
      'void *out, int propagation, void *data, float epsilon, uint flags',
    ),
    batchBack: bind(
      'batch_normalization_backward_desc_init',
      'void *out, int propagation, void *gradient, void *data, float epsilon, uint flags',
    ),
    layer: bind(
      'layer_normalization_forward_desc_init',
      'void *out, int propagation, void *data, void *statistics, float epsilon, uint flags',
    ),
    layerBack: bind(
      'layer_normalization_backward_desc_init',
      'void *out, int propagation, void *gradient, void *data, void *statistics, float epsilon, uint flags',
    ),
    pool: bind(
      'pooling_v2_forward_desc_init',
      'void *out, int propagation, int algorithm, void *source, void *output, void *strides, void *kernel, void *dilations, void *begin, void *end',
    ),
    poolBack: bind(
      'pooling_v2_backward_desc_init',
      'void *out, int algorithm, void *source, void *output, void *strides, void *kernel, void *dilations, void *begin, void *end',
    ),
    eltwise: bind(
      'eltwise_forward_desc_init',
      'void *out, int propagation, int algorithm, void *data, float alpha, float beta',
    ),
    eltwiseBack: bind(
      'eltwise_backward_desc_init',
      'void *out, int algorithm, void *gradient, void *data, float alpha, float beta',
    ),
    binary: bind('binary_desc_init', 'void *out, int algorithm, void *first, void *second, void *output'),
    matmul: bind('matmul_desc_init', 'void *out, void *first, void *second, void *bias, void *output'),
    softmax: bind(
      'softmax_v2_forward_desc_init',
      'void *out, int propagation, int algorithm, void *source, void *output, int axis',
    ),
    reduction: bind(
      'reduction_desc_init',
      'void *out, int algorithm, void *source, void *output, float p, float epsilon',
    ),
    reorder: bind(
      'reorder_primitive_desc_create',
      'void *out, void *source, size_t sourceEngine, void *output, size_t outputEngine, size_t attributes',
    ),
    concat: bind(
      'concat_primitive_desc_create',
      'void *out, void *output, int count, int axis, void *sources, size_t attributes, size_t engine',
    ),
    cache: bind('set_primitive_cache_capacity', 'int capacity'),
    sum: bind(
      'sum_primitive_desc_create',
      'void *out, void *output, int count, void *scales, void *sources, size_t attributes, size_t engine',
    ),
  };
  const slot = new BigUint64Array(1);
  const check = (what: string, status: number): void => {
    if (status !== 0) throw new Error(`oneDNN ${version}: ${what} failed with status ${status}`);
  };
  const made = (what: string, status: number): Handle => {
    check(what, status);
    return Number(slot[0]);
  };
  const engine = made('the engine', f.engineCreate(slot, 1, 0));
  const stream = made('the stream', f.streamCreate(slot, engine, 1));

  const describe = (dims: readonly number[], type: DnnlType, strides?: readonly number[]): Layout => {
    const raw = new Uint8Array(memoryDescriptor.bytes);
    check(
      'a layout',
      strides
        ? f.byStrides(raw, dims.length, sizes(dims), types[type], sizes(strides))
        : f.byTag(raw, dims.length, sizes(dims), types[type], 1),
    );
    return layoutOf(raw, strides ? f.bytes(raw) : 0);
  };

  const operationOf = (description: Handle): Operation => ({
    get implementation() {
      f.query(description, 8, 0, slot);
      return koffi.decode.string(slot[0]);
    },
    layout(which) {
      const [what, index] = queries[which]!;
      check('a query', f.query(description, what, index, slot));
      const raw = Uint8Array.from(
        koffi.decode(slot[0], koffi.array('uint8_t', memoryDescriptor.bytes, 'Typed')) as Uint8Array,
      );
      return layoutOf(raw, f.bytes(raw));
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
          check('a post-op', f.appendEltwise(operations, 1, step.algorithm, step.alpha, step.beta));
        else if (step.kind === 'binary') check('a post-op', f.appendBinary(operations, step.algorithm, step.other.raw));
        else check('a post-op', f.appendSum(operations, step.scale));
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
  const find = (
    operation: Uint8Array,
    status: number,
    postOps: readonly PostOp[] = [],
    hint: Handle = 0,
  ): Operation | undefined => {
    if (status !== 0) return undefined;
    return withAttributes(postOps, (attributes) => finish(f.describe(slot, operation, attributes, engine, hint)));
  };
  /** An operation that follows another's description. */
  const after = (
    forward: Uint8Array,
    forwardStatus: number,
    backward: Uint8Array,
    backwardStatus: number,
  ): Operation | undefined => {
    if (forwardStatus !== 0) return undefined;
    const status = f.describe(slot, forward, 0, engine, 0);
    if (status !== 0) return undefined;
    const hint = Number(slot[0]);
    try {
      return find(backward, backwardStatus, [], hint);
    } finally {
      f.describeDestroy(hint);
    }
  };
  const space = (): Uint8Array => new Uint8Array(operationBytes);
  const windowOf = ({ strides, dilations, begin, end }: WindowShape): BigInt64Array[] => [
    sizes(strides),
    sizes(dilations.map((d) => d - 1)),
    sizes(begin),
    sizes(end),
  ];
  const flagsOf = ({ given, relu }: Normalization): number =>
    (given ? flags.given : 0) | (relu ? flags.relu : 0) | flags.scale | flags.shift;
  const joined = (layouts: readonly Layout[]): Uint8Array => {
    const bytes = new Uint8Array(memoryDescriptor.bytes * layouts.length);
    layouts.forEach(({ raw }, i) => bytes.set(raw, i * memoryDescriptor.bytes));
    return bytes;
  };
  const anyOf = (layout: Layout): Layout => describe(layout.dims, layout.type);
  const convolutionForward = (
    out: Uint8Array,
    method: number,
    l: { source: Layout; weights: Layout; bias?: Layout; output: Layout },
    w: BigInt64Array[],
  ): number =>
    f.convolution(
      out,
      propagation.training,
      method,
      l.source.raw,
      l.weights.raw,
      l.bias?.raw ?? null,
      l.output.raw,
      ...w,
    );

  return {
    version,
    wantsShift: true,
    plain: (dims, type = 'f32') => describe(dims, type, rowMajor(dims)),
    strided: (dims, strides, type = 'f32') => describe(dims, type, strides),
    any: (dims, type = 'f32') => describe(dims, type),
    memory: (layout) => made('a tensor', f.memoryCreate(slot, layout.raw, engine, 0)),
    point: (memory, data) => check('a tensor', f.memoryPoint(memory, data)),
    releaseMemory: (memory) => void f.memoryDestroy(memory),
    convolution(part: ConvolutionPart, methodName, layouts, window, postOps = []) {
      const { source, weights, bias, output } = layouts,
        w = windowOf(window),
        method = methodName === 'winograd' ? 2 : 1;
      const operation = space();
      if (part === 'forward') return find(operation, convolutionForward(operation, method, layouts, w), postOps);
      const forward = space();
      const free = { source: anyOf(source), weights: describe(weights.dims, source.type), output: anyOf(output) };
      const status =
        part === 'input gradient'
          ? f.convolutionData(operation, method, source.raw, weights.raw, output.raw, ...w)
          : f.convolutionWeights(operation, method, source.raw, weights.raw, bias?.raw ?? null, output.raw, ...w);
      return after(forward, convolutionForward(forward, 3, free, w), operation, status);
    },
    batchNormalization(data, options) {
      const operation = space();
      return find(operation, f.batch(operation, propagation.training, data.raw, options.epsilon, flagsOf(options)));
    },
    batchNormalizationGradient(gradient, data, options) {
      const [forward, operation] = [space(), space()];
      return after(
        forward,
        f.batch(forward, propagation.training, data.raw, options.epsilon, flagsOf(options)),
        operation,
        f.batchBack(operation, propagation.backward, gradient.raw, data.raw, options.epsilon, flagsOf(options)),
      );
    },
    layerNormalization(data, statistics, epsilon) {
      const operation = space();
      return find(
        operation,
        f.layer(operation, propagation.training, data.raw, statistics.raw, epsilon, flags.scale | flags.shift),
      );
    },
    layerNormalizationGradient(gradient, data, statistics, epsilon) {
      const [forward, operation] = [space(), space()];
      return after(
        forward,
        f.layer(forward, propagation.training, data.raw, statistics.raw, epsilon, flags.scale | flags.shift),
        operation,
        f.layerBack(
          operation,
          propagation.backward,
          gradient.raw,
          data.raw,
          statistics.raw,
          epsilon,
          flags.scale | flags.shift,
        ),
      );
    },
    pool(algorithm, source, output, kernel, window) {
      const [strides, dilations, begin, end] = windowOf(window),
        operation = space();
      return find(
        operation,
        f.pool(
          operation,
          propagation.training,
          algorithm,
          source.raw,
          output.raw,
          strides,
          sizes(kernel),
          dilations,
          begin,
          end,
        ),
      );
    },
    poolGradient(algorithm, source, output, kernel, window) {
      const [strides, dilations, begin, end] = windowOf(window),
        forward = space(),
        operation = space();
      // a forward pool chooses its output's layout only
      const from = source.key.endsWith('any') ? describe(source.dims, source.type, rowMajor(source.dims)) : source,
        to = from === source ? output : anyOf(output);
      return after(
        forward,
        f.pool(
          forward,
          propagation.training,
          algorithm,
          from.raw,
          to.raw,
          strides,
          sizes(kernel),
          dilations,
          begin,
          end,
        ),
        operation,
        f.poolBack(operation, algorithm, source.raw, output.raw, strides, sizes(kernel), dilations, begin, end),
      );
    },
    eltwise(algorithm, data, alpha, beta, postOps) {
      const operation = space();
      return find(operation, f.eltwise(operation, propagation.training, algorithm, data.raw, alpha, beta), postOps);
    },
    eltwiseGradient(algorithm, gradient, data, alpha, beta) {
      const [forward, operation] = [space(), space()];
      return after(
        forward,
        f.eltwise(forward, propagation.training, algorithm, data.raw, alpha, beta),
        operation,
        f.eltwiseBack(operation, algorithm, gradient.raw, data.raw, alpha, beta),
      );
    },
    binary(algorithm, first, second, output, postOps) {
      const operation = space();
      return find(operation, f.binary(operation, algorithm, first.raw, second.raw, output.raw), postOps);
    },
    matmul(first, second, output, postOps, bias) {
      const operation = space();
      return find(operation, f.matmul(operation, first.raw, second.raw, bias?.raw ?? null, output.raw), postOps);
    },
    softmax(source, output, axis, logarithm) {
      const operation = space();
      return find(
        operation,
        f.softmax(operation, propagation.training, logarithm ? 0x30001 : 0x30000, source.raw, output.raw, axis),
      );
    },
    reduction(algorithm, source, output) {
      const operation = space();
      return find(operation, f.reduction(operation, algorithm, source.raw, output.raw, 0, 0));
    },
    reorder: (source, output) => finish(f.reorder(slot, source.raw, engine, output.raw, engine, 0)),
    concat: (axis, sources, output) =>
      finish(f.concat(slot, output.raw, sources.length, axis, joined(sources), 0, engine)),
    sum: (sources, scales, output) =>
      finish(f.sum(slot, output.raw, sources.length, Float32Array.from(scales), joined(sources), 0, engine)),
    execute: (primitive, list) => check('a primitive', f.execute(primitive, stream, list.length / 16, list)),
    releasePrimitive: (primitive) => void f.destroy(primitive),
    setThreads: (count) => setThreads(runtime, count),
    postOpArgument: (index) => 16384 * (index + 1) + argument.source1,
    address: (buffer) => Number(koffi.address(buffer)),
    close() {
      // the library keeps primitives for later ones like them; they must not outlive the engine
      f.cache(0);
      f.cache(cachedPrimitives);
      f.streamDestroy(stream);
      f.engineDestroy(engine);
    },
  };
}
