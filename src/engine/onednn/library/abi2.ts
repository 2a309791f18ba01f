import koffi, { type LibraryHandle } from 'koffi';
import { blockedLayout, opaqueLayout, sizes } from './layouts.js';
import type { Dnnl, DnnlType, Handle, Layout, PostOp } from './dnnl.js';
import { binder, operationFunctions, type Call, type OperationFunctions } from './functions.js';
import { BoundLibrary, unfit, type Abi } from './bound.js';
import { anyTag, kinds, Session, typeNames, types } from './session.js';

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

/** Second versions of functions, which 3.x has under the plain name. */
const names: Readonly<Record<string, string>> = {
  convolution_forward: 'dilated_convolution_forward',
  convolution_backward_data: 'dilated_convolution_backward_data',
  convolution_backward_weights: 'dilated_convolution_backward_weights',
  pooling_forward: 'pooling_v2_forward',
  pooling_backward: 'pooling_v2_backward',
  softmax_forward: 'softmax_v2_forward',
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

/** Functions that fill structs, and those that make an operation of one. */
function structFunctions(library: LibraryHandle) {
  const bind = binder(library);
  return {
    byStrides: bind('memory_desc_init_by_strides', 'void *out, int rank, void *dims, int type, void *strides'),
    byTag: bind('memory_desc_init_by_tag', 'void *out, int rank, void *dims, int type, int tag'),
    describe: bind(
      'primitive_desc_create',
      'void *out, void *operation, size_t attributes, size_t engine, size_t hint',
    ),
    appendEltwise: bind(
      'post_ops_append_eltwise',
      'size_t operations, float scale, int algorithm, float alpha, float beta',
    ),
    appendSum: bind('post_ops_append_sum', 'size_t operations, float scale'),
  };
}

/** The calls of 2.x: an operation's struct is filled first, then described. */
class StructAbi implements Abi {
  readonly wantsShift = true;
  readonly flags = { given: 1, relu: 4, scale: 8, shift: 16 };
  readonly postOpStride = 16384;
  readonly operations: OperationFunctions;
  private readonly functions: ReturnType<typeof structFunctions>;

  constructor(private readonly session: Session) {
    const bind = binder(session.library);
    const filling = (name: string, parameters: string): Call =>
      bind(`${names[name] ?? name}_desc_init`, `void *out, ${parameters}`);
    this.functions = structFunctions(session.library);
    this.operations = operationFunctions({
      tensor: 'void *',
      dataAndResult: (data) => `void *${data}`,
      forward: filling,
      backward: filling,
      several: (name, parameters) =>
        bind(`${name}_primitive_desc_create`, `void *out, ${parameters}, size_t attributes, size_t engine`),
    });
  }

  any(dims: readonly number[], type: DnnlType): Layout {
    const raw = new Uint8Array(memoryDescriptor.bytes);
    this.session.check('a layout', this.functions.byTag(raw, dims.length, sizes(dims), types[type], anyTag));
    return layoutOf(raw, 0);
  }

  strided(dims: readonly number[], strides: readonly number[], type: DnnlType): Layout {
    const raw = new Uint8Array(memoryDescriptor.bytes);
    this.session.check(
      'a layout',
      this.functions.byStrides(raw, dims.length, sizes(dims), types[type], sizes(strides)),
    );
    return layoutOf(raw, this.session.functions.bytes(raw));
  }

  argumentLayout(description: Handle, what: number, index: number): Layout {
    const { functions, slot } = this.session;
    this.session.check('a query', functions.query(description, what, index, slot));
    const raw = Uint8Array.from(
      koffi.decode(slot[0], koffi.array('uint8_t', memoryDescriptor.bytes, 'Typed')) as Uint8Array,
    );
    return layoutOf(raw, functions.bytes(raw));
  }

  tensor(layout: Layout | undefined): unknown {
    return layout?.raw ?? null;
  }

  tensors(layouts: readonly Layout[]): Uint8Array {
    const bytes = new Uint8Array(memoryDescriptor.bytes * layouts.length);
    layouts.forEach(({ raw }, i) => bytes.set(raw, i * memoryDescriptor.bytes));
    return bytes;
  }

  dataAndResult(layout: Layout): readonly unknown[] {
    return [layout.raw];
  }

  elementwise(algorithm: number, alpha: number, beta: number): readonly [number, number, number] {
    return [algorithm, alpha, beta];
  }

  append(operations: Handle, step: PostOp): number {
    if (step.kind === 'eltwise')
      return this.functions.appendEltwise(operations, 1, step.algorithm, step.alpha, step.beta);
    if (step.kind === 'binary') return this.session.functions.appendBinary(operations, step.algorithm, step.other.raw);
    return this.functions.appendSum(operations, step.scale);
  }

  describe(call: Call, values: readonly unknown[], attributes: Handle, hint: Handle = 0): number {
    const operation = new Uint8Array(operationBytes);
    if (call(operation, ...values) !== 0) return unfit;
    return this.functions.describe(this.session.slot, operation, attributes, this.session.engine, hint);
  }

  describeSeveral(call: Call, values: readonly unknown[]): number {
    return call(this.session.slot, ...values, 0, this.session.engine);
  }

  close(): void {}
}

/** Binds the library's 2.x interface, with an engine on the CPU and one stream. */
export function createAbi2(library: LibraryHandle, version: string, runtime: number): Dnnl {
  const session = new Session(library, version, 'void *');
  return new BoundLibrary(session, new StructAbi(session), runtime);
}
