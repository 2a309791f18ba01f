import koffi, { type LibraryHandle } from 'koffi';
import { blockedLayout, opaqueLayout, sizes } from './layouts.js';
import { eltwise, type Dnnl, type DnnlType, type Handle, type Layout, type PostOp } from './dnnl.js';
import { binder, operationFunctions, type Call, type OperationFunctions } from './functions.js';
import { BoundLibrary, type Abi } from './bound.js';
import { anyTag, kinds, Session, typeNames, types } from './session.js';

/**
 * The C interface of oneDNN 3.x: descriptors of tensors are objects of the library, asked by
 * queries, and each operation has a function of its own that makes its description. A layout's
 * `raw` is the address of such an object.
 */

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

const handleOf = ({ raw }: Layout): Handle => Number(new DataView(raw.buffer, raw.byteOffset).getBigUint64(0, true));

/** Functions for descriptions of tensors, and those whose parameters are not the ones of 2.x. */
function objectFunctions(library: LibraryHandle) {
  const bind = binder(library);
  return {
    byStrides: bind('memory_desc_create_with_strides', 'void *out, int rank, void *dims, int type, void *strides'),
    byTag: bind('memory_desc_create_with_tag', 'void *out, int rank, void *dims, int type, int tag'),
    clone: bind('memory_desc_clone', 'void *out, size_t descriptor'),
    forget: bind('memory_desc_destroy', 'size_t descriptor'),
    isEqual: bind('memory_desc_equal', 'size_t a, size_t b'),
    ask: bind('memory_desc_query', 'size_t descriptor, int what, void *out'),
    queryLayout: bind('primitive_desc_query_md', 'size_t description, int what, int index', 'size_t'),
    appendEltwise: bind('post_ops_append_eltwise', 'size_t operations, int algorithm, float alpha, float beta'),
    appendSum: bind('post_ops_append_sum', 'size_t operations, float scale, int zero, int type'),
  };
}
type ObjectFunctions = ReturnType<typeof objectFunctions>;

/** Every tensor's description there is, by what it says: they are few, and kept until the end. */
class Descriptions {
  private readonly known = new Map<string, Layout>();
  private readonly opaque: { readonly handle: Handle; readonly identity: string }[] = [];
  private readonly kept: Handle[] = [];
  private readonly short = new Int32Array(2);
  private readonly long = new BigInt64Array(1);

  constructor(
    private readonly session: Session,
    private readonly functions: ObjectFunctions,
  ) {}

  /** The layout that the library chooses, if it was described before. */
  any(dims: readonly number[], type: DnnlType): Layout | undefined {
    return this.known.get(`any ${type} ${dims.join()}`);
  }

  /** The layout that an object of the library describes; takes it over. */
  layoutOf(handle: Handle): Layout {
    const rank = this.number(handle, tensor.rank),
      dims = this.list(handle, tensor.dims, rank),
      kind = this.number(handle, tensor.kind);
    const raw = new Uint8Array(BigUint64Array.of(BigInt(handle)).buffer),
      type = typeNames.get(this.number(handle, tensor.type)) ?? 'f32';
    if (kind === kinds.any)
      return this.keep(handle, `any ${type} ${dims.join()}`, () => opaqueLayout({ dims, type, bytes: 0, raw }, 'any'));
    if (kind !== kinds.blocked) {
      const identity = this.identity(handle);
      return this.keep(handle, identity, (bytes) => opaqueLayout({ dims, type, bytes: bytes(), raw }, identity));
    }
    const count = this.number(handle, tensor.blocks);
    this.session.check('a query', this.functions.ask(handle, tensor.offset, this.long));
    const blocked = {
      padded: this.list(handle, tensor.padded, rank),
      strides: this.list(handle, tensor.strides, rank),
      blocks: this.list(handle, tensor.blockSizes, count),
      axes: this.list(handle, tensor.blockAxes, count),
      offset: Number(this.long[0]),
      extra: 0,
    };
    return this.keep(handle, JSON.stringify([type, dims, blocked]), (bytes) =>
      blockedLayout({ dims, type, bytes: bytes(), raw, ...blocked }),
    );
  }

  close(): void {
    for (const handle of this.kept) this.functions.forget(handle);
  }

  /** The layout of this text, with `handle` as its description unless it has one already. */
  private keep(handle: Handle, text: string, make: (bytes: () => number) => Layout): Layout {
    const before = this.known.get(text);
    if (before) {
      this.functions.forget(handle);
      return before;
    }
    const layout = make(() => this.session.functions.bytes(handle));
    this.kept.push(handle);
    this.known.set(text, layout);
    return layout;
  }

  /** A name for a layout that only the library can compare with others. */
  private identity(handle: Handle): string {
    let same = this.opaque.find((other) => this.functions.isEqual(other.handle, handle) === 1);
    if (!same) this.opaque.push((same = { handle, identity: `opaque ${this.opaque.length}` }));
    return same.identity;
  }

  private number(handle: Handle, what: number): number {
    this.session.check('a query', this.functions.ask(handle, what, this.short));
    return this.short[0]!;
  }

  private list(handle: Handle, what: number, length: number): number[] {
    if (length === 0) return [];
    const { slot } = this.session;
    this.session.check('a query', this.functions.ask(handle, what, slot));
    return Array.from(koffi.decode(slot[0], koffi.array('int64', length, 'Array')) as (number | bigint)[], Number);
  }
}

/** The calls of 3.x: an operation is described in one call. */
class ObjectAbi implements Abi {
  readonly wantsShift = false;
  readonly flags = { given: 1, relu: 8, scale: 2, shift: 4 };
  readonly postOpStride = 32768;
  readonly operations: OperationFunctions;
  private readonly functions: ObjectFunctions;
  private readonly descriptions: Descriptions;

  constructor(private readonly session: Session) {
    const bind = binder(session.library);
    const describing = (name: string, parameters: string): Call =>
      bind(`${name}_primitive_desc_create`, `void *out, size_t engine, ${parameters}, size_t attributes`);
    this.functions = objectFunctions(session.library);
    this.descriptions = new Descriptions(session, this.functions);
    this.operations = operationFunctions({
      tensor: 'size_t',
      dataAndResult: (data, result) => `size_t ${data}, size_t ${result}`,
      forward: describing,
      backward: (name, parameters) => describing(name, `${parameters}, size_t hint`),
      several: describing,
    });
  }

  any(dims: readonly number[], type: DnnlType): Layout {
    return (
      this.descriptions.any(dims, type) ??
      this.described(this.functions.byTag(this.session.slot, dims.length, sizes(dims), types[type], anyTag))
    );
  }

  strided(dims: readonly number[], strides: readonly number[], type: DnnlType): Layout {
    return this.described(
      this.functions.byStrides(this.session.slot, dims.length, sizes(dims), types[type], sizes(strides)),
    );
  }

  argumentLayout(description: Handle, what: number, index: number): Layout {
    const own = this.functions.queryLayout(description, what, index);
    return this.described(this.functions.clone(this.session.slot, own));
  }

  tensor(layout: Layout | undefined): unknown {
    return layout ? handleOf(layout) : 0;
  }

  tensors(layouts: readonly Layout[]): BigUint64Array {
    return BigUint64Array.from(layouts, (layout) => BigInt(handleOf(layout)));
  }

  dataAndResult(layout: Layout): readonly unknown[] {
    return [handleOf(layout), handleOf(layout)];
  }

  /**
   * An elementwise algorithm with its parameters as 3.x takes them: log(1 + exp(alpha x)) / alpha, x
   * clip(alpha x + beta, 0, 1).
   */
  elementwise(algorithm: number, alpha: number, beta: number): readonly [number, number, number] {
    const number = algorithms.get(algorithm) ?? algorithm;
    if (algorithm === eltwise.softplus) return [number, 1, 0];
    if (algorithm === eltwise.hardSwish) return [number, 1 / 6, 1 / 2];
    return [number, alpha, beta];
  }

  append(operations: Handle, step: PostOp): number {
    if (step.kind === 'eltwise')
      return this.functions.appendEltwise(operations, ...this.elementwise(step.algorithm, step.alpha, step.beta));
    if (step.kind === 'binary')
      return this.session.functions.appendBinary(operations, step.algorithm, handleOf(step.other));
    return this.functions.appendSum(operations, step.scale, 0, 0);
  }

  describe(call: Call, values: readonly unknown[], attributes: Handle, hint?: Handle): number {
    const { slot, engine } = this.session;
    return hint === undefined
      ? call(slot, engine, ...values, attributes)
      : call(slot, engine, ...values, hint, attributes);
  }

  describeSeveral(call: Call, values: readonly unknown[]): number {
    return call(this.session.slot, this.session.engine, ...values, 0);
  }

  close(): void {
    this.descriptions.close();
  }

  /** The layout that a function has just described. */
  private described(status: number): Layout {
    return this.descriptions.layoutOf(this.session.made('a layout', status));
  }
}

/** Binds the library's 3.x interface, with an engine on the CPU and one stream. */
export function createAbi3(library: LibraryHandle, version: string, runtime: number): Dnnl {
  const session = new Session(library, version, 'size_t');
  return new BoundLibrary(session, new ObjectAbi(session), runtime);
}
