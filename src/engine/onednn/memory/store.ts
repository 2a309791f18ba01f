import { arrayType, sizeOf, type DataType, type Tensor } from '../../../tensor.js';
import type { Lent } from '../../engine.js';
import type { Dnnl, Layout } from '../library/dnnl.js';
import { packed, argument } from '../library/dnnl.js';
import type { Block, Heap } from './heap.js';
import { bytesOf } from './places.js';

/** A named tensor of the state, in the layout that programs agreed on. */
export interface Entry {
  readonly dims: readonly number[];
  readonly dtype: DataType;
  readonly layout: Layout | undefined;
  readonly block: Block;
}

/** The state: named tensors that programs read and replace. */
export interface Store {
  write(name: string, tensor: Tensor): void;
  /** A copy in row-major order. Throws when there is none. */
  read(name: string): Tensor;
  /** Float32 entries where they lie, but for those outside of the heap, which other threads do not see. */
  lend(names: readonly string[]): Map<string, Lent>;
  remove(name: string): void;
  names(): Iterable<string>;
  get(name: string): Entry | undefined;
  /** The layout that entries of this name and shape have, once a program has decided it. */
  layoutOf(name: string, dims: readonly number[]): Layout | undefined;
  /** Fixes the layout of an entry, there already or not; the first program's choice stays. */
  decide(name: string, layout: Layout): void;
}

/** Copies a tensor from one layout to another. */
export function reorderBytes(dnnl: Dnnl, from: Layout, source: Uint8Array, to: Layout, target: Uint8Array): void {
  const operation = dnnl.reorder(from, to);
  if (!operation) throw new Error(`oneDNN has no reorder from ${from.key} to ${to.key}`);
  const primitive = operation.create(),
    memories = [dnnl.memory(from), dnnl.memory(to)] as const;
  try {
    dnnl.point(memories[0], source);
    dnnl.point(memories[1], target);
    dnnl.execute(
      primitive,
      packed([
        [argument.source, memories[0]],
        [argument.output, memories[1]],
      ]),
    );
  } finally {
    memories.forEach((memory) => dnnl.releaseMemory(memory));
    dnnl.releasePrimitive(primitive);
  }
}

/** An empty store. */
export function createStore(dnnl: Dnnl, heap: Heap): Store {
  const entries = new Map<string, Entry>(),
    decided = new Map<string, Layout>();
  const atLeastOne = (dims: readonly number[]): readonly number[] => (dims.length === 0 ? [1] : dims);
  const fits = (layout: Layout, dims: readonly number[]): boolean => atLeastOne(dims).join() === layout.dims.join();
  const bytesIn = (tensor: Tensor): Uint8Array =>
    new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);

  const entryOf = (name: string): Entry => {
    const entry = entries.get(name);
    if (!entry) throw new Error(`the engine's state has no entry named ${JSON.stringify(name)}`);
    return entry;
  };
  const read = (name: string): Tensor => {
    const { dims, dtype, layout, block } = entryOf(name);
    const data = new (arrayType(dtype))(sizeOf(dims)),
      out = new Uint8Array(data.buffer);
    if (layout && !layout.isPlain) reorderBytes(dnnl, layout, block.view(), dnnl.plain(atLeastOne(dims)), out);
    else out.set(block.view().subarray(0, out.length));
    return { dims: [...dims], dtype, data };
  };
  const write = (name: string, tensor: Tensor): void => {
    const { dims, dtype } = tensor;
    const known = decided.get(name);
    const layout =
      dtype === 'float32' ? (known && fits(known, dims) ? known : dnnl.plain(atLeastOne(dims))) : undefined;
    const bytes = layout?.bytes ?? bytesOf(dtype, dims),
      old = entries.get(name);
    let block = old?.block;
    if (!block || old?.layout?.key !== layout?.key || old?.dtype !== dtype || block.bytes < bytes) {
      old?.block.release();
      block = heap.allocate(bytes);
    }
    const source = bytesIn(tensor);
    if (layout && !layout.isPlain)
      reorderBytes(dnnl, dnnl.plain(atLeastOne(dims)), new Uint8Array(source), layout, block.view());
    else block.view().set(source);
    entries.set(name, { dims: [...dims], dtype, layout, block });
  };
  return {
    write,
    read,
    lend: (names) =>
      new Map(
        names.flatMap((name): [string, Lent][] => {
          const { layout, block } = entryOf(name);
          if (!layout || block.offset === undefined) return [];
          const data = new Float32Array(heap.memory.buffer, block.offset, layout.bytes / 4);
          return [[name, { data, order: layout.key }]];
        }),
      ),
    remove(name) {
      entries.get(name)?.block.release();
      entries.delete(name);
    },
    names: () => entries.keys(),
    get: (name) => entries.get(name),
    layoutOf: (name, dims) => {
      const known = decided.get(name);
      return known && fits(known, dims) ? known : undefined;
    },
    decide(name, layout) {
      const known = decided.get(name);
      if (known && known.dims.join() === layout.dims.join()) return;
      const entry = entries.get(name),
        tensor = entry && fits(layout, entry.dims) ? read(name) : undefined;
      decided.set(name, layout);
      if (tensor) write(name, tensor); // one of another shape will be replaced before the program runs
    },
  };
}
