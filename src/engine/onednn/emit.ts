import { invariant } from '../../errors.js';
import { staticDims, type Graph, type Node } from '../../graph/graph.js';
import { sizeOf, type DataType, type Tensor, type TypedArray } from '../../tensor.js';
import type { Choices } from './choices/choices.js';
import type { Emitted, Emitter, SizedValue } from './emitter.js';
import { argument, packed, type Dnnl, type Handle, type Layout } from './library/dnnl.js';
import type { Block, Heap } from './memory/heap.js';
import { bytesOf, createStorage, type Place, type Step } from './memory/places.js';
import { exactValues } from './precision.js';
import type { Store } from './memory/store.js';

/**
 * Elements from which a value is in bfloat16, where that is asked for; the choice `bfloat16From`
 * says otherwise (tests of small networks).
 */
const large = 8192;
const none: TypedArray = new Uint8Array(0);
const atLeastOne = (dims: readonly number[]): readonly number[] => (dims.length === 0 ? [1] : dims);

/** An emitter for a graph with inputs from a store. */
export function createEmitter(
  graph: Graph,
  state: ReadonlySet<string>,
  dnnl: Dnnl,
  store: Store,
  heap: Heap,
  choices: Choices,
  isHalved = false,
): Emitter & { finish(): Emitted } {
  const steps: Step[] = [],
    primitives: Handle[] = [],
    used = new Set<Place>(),
    blocks: Block[] = [],
    places: Place[] = [];
  const held = new Map<string, Place[]>(),
    inputs = new Map<string, Place>();
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const uses = new Map<string, number>(),
    readers = new Map<string, Node[]>(),
    done = new Set<Node>();
  for (const node of graph.nodes)
    for (const name of new Set(node.inputs)) readers.set(name, [...(readers.get(name) ?? []), node]);
  for (const name of [...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)])
    uses.set(name, (uses.get(name) ?? 0) + 1);

  const place = (
    dims: readonly number[],
    dtype: DataType,
    layout: Layout | undefined,
    storage: Place['storage'],
  ): Place => {
    const made: Place = { dims, dtype, layout, storage, memory: undefined, data: none };
    places.push(made);
    return made;
  };
  const value = (name: string): SizedValue => {
    const found = graph.values.get(name);
    invariant(found, `${graph.name}: no value named ${JSON.stringify(name)}`);
    const shape = staticDims(found.shape);
    invariant(shape, `${graph.name}: the sizes of ${name} are not known`);
    return { ...found, shape };
  };
  const exact = isHalved ? exactValues(graph) : new Set<string>();
  const bfloat16From = Number(choices.recorded['bfloat16From'] ?? large);
  const plainLayout = (dims: readonly number[], dtype: DataType): Layout | undefined =>
    dtype === 'float32' && sizeOf(dims) > 0 ? dnnl.plain(atLeastOne(dims)) : undefined;
  const constantPlace = (tensor: Tensor): Place => {
    const block = heap.allocate(tensor.data.byteLength);
    blocks.push(block);
    block.view().set(new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
    return place(
      tensor.dims,
      tensor.dtype,
      plainLayout(tensor.dims, tensor.dtype),
      createStorage(tensor.data.byteLength, 'block', block),
    );
  };
  /** The entry of the state in a layout, which it then has for good. */
  const statePlace = (name: string, layout: Layout | undefined): Place => {
    const { shape, dtype } = value(name);
    const wanted = store.layoutOf(name, shape) ?? layout;
    if (wanted && dtype === 'float32') store.decide(name, wanted);
    const made = place(shape, dtype, wanted, createStorage(wanted?.bytes ?? bytesOf(dtype, shape), 'block'));
    inputs.set(name, made);
    return made;
  };
  const first = (name: string, layout?: Layout): Place[] => {
    let list = held.get(name);
    if (list) return list;
    const { shape, dtype } = value(name);
    const constant = graph.constants.get(name);
    if (constant) list = [constantPlace(constant)];
    else if (state.has(name)) list = [statePlace(name, layout ?? slotLayout(name) ?? plainLayout(shape, dtype))];
    else {
      invariant(
        graph.inputs.some((input) => input.name === name),
        `${graph.name}: nothing makes ${JSON.stringify(name)}`,
      );
      const fed = place(shape, dtype, plainLayout(shape, dtype), createStorage(bytesOf(dtype, shape), 'feed'));
      inputs.set(name, fed);
      list = [fed];
    }
    held.set(name, list);
    return list;
  };
  /**
   * `NAME@slot`, what an optimizer or an average keeps for a parameter, lies as the parameter does.
   */
  const slotLayout = (name: string): Layout | undefined => {
    const owner = name.slice(0, Math.max(0, name.lastIndexOf('@')));
    const layout =
      owner === '' ? undefined : (held.get(owner)?.[0]?.layout ?? store.layoutOf(owner, value(name).shape));
    return layout?.dims.join() === atLeastOne(value(name).shape).join() ? layout : undefined;
  };

  const emitter: Emitter & { finish(): Emitted } = {
    graph,
    dnnl,
    choices,
    heap,
    value,
    isHalved,
    isLarge: (name) => sizeOf(value(name).shape) >= bfloat16From,
    typeOf: (name) => (isHalved && !exact.has(name) && emitter.isLarge(name) ? 'bf16' : 'f32'),
    fusions: new Map(),
    biases: new Map(),
    grouped: new Set(),
    constant: (name) => graph.constants.get(name),
    scalar: (name) => {
      const found = graph.constants.get(name);
      return found?.data.length === 1 ? Number(found.data[0]) : undefined;
    },
    producer: (name) => producers.get(name),
    uses: (name) => uses.get(name) ?? 0,
    isMade: (name) => held.has(name) || !producers.has(name),
    readers: (name) => readers.get(name) ?? [],
    done: (node) => void done.add(node),
    isDone: (node) => done.has(node),
    held: (name) => first(name)[0]!,
    layoutOf: (name) => {
      const known = held.get(name)?.[0];
      if (known) return known.layout;
      if (!state.has(name)) return first(name)[0]!.layout;
      return store.layoutOf(name, value(name).shape) ?? slotLayout(name);
    },
    plain(name) {
      const list = first(name),
        { shape, dtype } = value(name);
      const found = list.find(({ layout }) => !layout || layout.isPlain);
      if (found) return found;
      const made = emitter.reorder(list[0]!, plainLayout(shape, dtype)!, name);
      list.push(made);
      return made;
    },
    rowMajor: (name) =>
      first(name).find(({ layout }) => layout?.isRowMajor && layout.type === 'bf16') ?? emitter.plain(name),
    prefer(name, layout) {
      if (state.has(name)) first(name, layout);
    },
    as(name, layout) {
      const list = first(name, layout.type === 'bf16' ? undefined : layout); // the state is in float32
      const found = list.find((candidate) => candidate.layout?.key === layout.key);
      if (found) return found;
      const made = emitter.reorder(list[0]!, layout, name);
      list.push(made);
      return made;
    },
    result(name, layout) {
      const { shape, dtype } = value(name);
      const chosen = dtype === 'float32' ? (layout ?? plainLayout(shape, dtype)) : undefined;
      const made = place(shape, dtype, chosen, createStorage(chosen?.bytes ?? bytesOf(dtype, shape)));
      invariant(!held.has(name), `${graph.name}: ${JSON.stringify(name)} is made twice`);
      held.set(name, [made]);
      return made;
    },
    share(name, source) {
      const { shape, dtype } = value(name);
      invariant(!held.has(name), `${graph.name}: ${JSON.stringify(name)} is made twice`);
      const same =
        source.dims.join() === shape.join()
          ? source.layout
          : source.layout?.type === 'bf16'
            ? dnnl.plain(atLeastOne(shape), 'bf16')
            : plainLayout(shape, dtype);
      held.set(name, [place(shape, dtype, same, source.storage)]);
    },
    scratch: (layout) => place(layout.dims, 'float32', layout, createStorage(layout.bytes)),
    view: (source, layout) => place(layout.dims, source.dtype, layout, source.storage),
    fixed: (data, dims, type = 'f32') => {
      const made = constantPlace({ dtype: 'float32', dims, data });
      return type === 'f32' ? made : emitter.reorder(made, dnnl.plain(dims, type), 'constant');
    },
    reorder(source, layout, name) {
      invariant(source.layout, `${name}: ${source.dtype} has one layout`);
      const made = place(source.dims, source.dtype, layout, createStorage(layout.bytes));
      const operation = dnnl.reorder(source.layout, layout);
      invariant(operation, `${name}: oneDNN has no reorder from ${source.layout.key} to ${layout.key}`);
      emitter.call(operation, {
        name: `reorder ${name}`,
        kind: 'reorder',
        reads: [[argument.source, source]],
        writes: [[argument.output, made]],
      });
      return made;
    },
    call(operation, { name, kind, reads, writes, inPlace }) {
      const primitive = operation.create();
      operation.release();
      primitives.push(primitive);
      const list = [...reads, ...writes];
      for (const [, target] of list) used.add(target);
      let bytes: Uint8Array | undefined;
      steps.push({
        name,
        kind,
        reads: reads.map(([, read]) => read),
        writes: writes.map(([, written]) => written),
        ...(inPlace ? { inPlace } : {}),
        run: () => {
          bytes ??= packed(list.map(([number, target]) => [number, target.memory!]));
          dnnl.execute(primitive, bytes);
        },
      });
    },
    step: (step) => void steps.push(step),
    finish: () => ({ steps, inputs, primitives, used, blocks, places }),
  };
  return emitter;
}
