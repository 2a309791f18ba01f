import { invariant } from '../../errors.js';
import { staticDims, type Graph, type Node } from '../../graph/graph.js';
import { sizeOf, type DataType, type Tensor, type TypedArray } from '../../tensor.js';
import type { Choices } from './choices/choices.js';
import type { CallOptions, Emitted, Emitter, NormalizationRelu, SizedValue } from './emitter.js';
import {
  argument,
  packed,
  type Dnnl,
  type DnnlType,
  type Handle,
  type Layout,
  type Operation,
} from './library/dnnl.js';
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

/** What the engine lends to each program. */
export interface Tools {
  readonly dnnl: Dnnl;
  readonly heap: Heap;
  readonly store: Store;
  readonly choices: Choices;
}

/** Who makes and who reads the values of a graph. */
class Readings {
  private readonly producers: ReadonlyMap<string, Node>;
  private readonly counts = new Map<string, number>();
  private readonly nodes = new Map<string, Node[]>();

  constructor(graph: Graph) {
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    for (const node of graph.nodes)
      for (const name of new Set(node.inputs)) this.nodes.set(name, [...(this.nodes.get(name) ?? []), node]);
    for (const name of [...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)])
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  producer(name: string): Node | undefined {
    return this.producers.get(name);
  }

  uses(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  readers(name: string): readonly Node[] {
    return this.nodes.get(name) ?? [];
  }
}

/** An emitter for a graph with inputs from a store. */
export class ProgramEmitter implements Emitter {
  fusions: ReadonlyMap<Node, NormalizationRelu> = new Map();
  biases: ReadonlyMap<Node, { readonly add: Node; readonly bias: string }> = new Map();
  grouped: ReadonlySet<Node> = new Set();
  readonly dnnl: Dnnl;
  readonly choices: Choices;
  readonly heap: Heap;
  private readonly store: Store;
  private readonly readings: Readings;
  private readonly exact: ReadonlySet<string>;
  private readonly bfloat16From: number;
  private readonly written = new Set<Node>();
  /** The places of each value, by name: the first is where it was made, others are reordered. */
  private readonly places = new Map<string, Place[]>();
  private readonly emitted = {
    steps: [] as Step[],
    inputs: new Map<string, Place>(),
    primitives: [] as Handle[],
    used: new Set<Place>(),
    blocks: [] as Block[],
    places: [] as Place[],
  };

  /** `state` names the inputs that are entries of the store. */
  constructor(
    readonly graph: Graph,
    private readonly state: ReadonlySet<string>,
    tools: Tools,
    readonly isHalved = false,
  ) {
    this.dnnl = tools.dnnl;
    this.choices = tools.choices;
    this.heap = tools.heap;
    this.store = tools.store;
    this.readings = new Readings(graph);
    this.exact = isHalved ? exactValues(graph) : new Set<string>();
    this.bfloat16From = Number(tools.choices.recorded['bfloat16From'] ?? large);
  }

  value(name: string): SizedValue {
    const found = this.graph.values.get(name);
    invariant(found, `${this.graph.name}: no value named ${JSON.stringify(name)}`);
    const shape = staticDims(found.shape);
    invariant(shape, `${this.graph.name}: the sizes of ${name} are not known`);
    return { ...found, shape };
  }

  isLarge(name: string): boolean {
    return sizeOf(this.value(name).shape) >= this.bfloat16From;
  }

  typeOf(name: string): DnnlType {
    return this.isHalved && !this.exact.has(name) && this.isLarge(name) ? 'bf16' : 'f32';
  }

  constant(name: string): Tensor | undefined {
    return this.graph.constants.get(name);
  }

  scalar(name: string): number | undefined {
    const found = this.graph.constants.get(name);
    return found?.data.length === 1 ? Number(found.data[0]) : undefined;
  }

  producer(name: string): Node | undefined {
    return this.readings.producer(name);
  }

  uses(name: string): number {
    return this.readings.uses(name);
  }

  readers(name: string): readonly Node[] {
    return this.readings.readers(name);
  }

  isMade(name: string): boolean {
    return this.places.has(name) || !this.readings.producer(name);
  }

  done(node: Node): void {
    this.written.add(node);
  }

  isDone(node: Node): boolean {
    return this.written.has(node);
  }

  held(name: string): Place {
    return this.placesOf(name)[0]!;
  }

  layoutOf(name: string): Layout | undefined {
    const known = this.places.get(name)?.[0];
    if (known) return known.layout;
    if (!this.state.has(name)) return this.held(name).layout;
    return this.store.layoutOf(name, this.value(name).shape) ?? this.slotLayout(name);
  }

  plain(name: string): Place {
    const list = this.placesOf(name),
      { shape, dtype } = this.value(name);
    const found = list.find(({ layout }) => !layout || layout.isPlain);
    if (found) return found;
    const made = this.reorder(list[0]!, this.plainLayout(shape, dtype)!, name);
    list.push(made);
    return made;
  }

  rowMajor(name: string): Place {
    const halved = this.placesOf(name).find(({ layout }) => layout?.isRowMajor && layout.type === 'bf16');
    return halved ?? this.plain(name);
  }

  prefer(name: string, layout: Layout): void {
    if (this.state.has(name)) this.placesOf(name, layout);
  }

  as(name: string, layout: Layout): Place {
    const list = this.placesOf(name, layout.type === 'bf16' ? undefined : layout); // the state is in float32
    const found = list.find((candidate) => candidate.layout?.key === layout.key);
    if (found) return found;
    const made = this.reorder(list[0]!, layout, name);
    list.push(made);
    return made;
  }

  result(name: string, layout?: Layout): Place {
    const { shape, dtype } = this.value(name);
    const chosen = dtype === 'float32' ? (layout ?? this.plainLayout(shape, dtype)) : undefined;
    const made = this.place(shape, dtype, chosen, createStorage(chosen?.bytes ?? bytesOf(dtype, shape)));
    this.hold(name, made);
    return made;
  }

  share(name: string, source: Place): void {
    const { shape, dtype } = this.value(name);
    const same =
      source.dims.join() === shape.join()
        ? source.layout
        : source.layout?.type === 'bf16'
          ? this.dnnl.plain(atLeastOne(shape), 'bf16')
          : this.plainLayout(shape, dtype);
    this.hold(name, this.place(shape, dtype, same, source.storage));
  }

  scratch(layout: Layout): Place {
    return this.place(layout.dims, 'float32', layout, createStorage(layout.bytes));
  }

  view(source: Place, layout: Layout): Place {
    return this.place(layout.dims, source.dtype, layout, source.storage);
  }

  fixed(data: Float32Array, dims: readonly number[], type: DnnlType = 'f32'): Place {
    const made = this.constantPlace({ dtype: 'float32', dims, data });
    return type === 'f32' ? made : this.reorder(made, this.dnnl.plain(dims, type), 'constant');
  }

  reorder(source: Place, layout: Layout, name: string): Place {
    invariant(source.layout, `${name}: ${source.dtype} has one layout`);
    const made = this.place(source.dims, source.dtype, layout, createStorage(layout.bytes));
    const operation = this.dnnl.reorder(source.layout, layout);
    invariant(operation, `${name}: oneDNN has no reorder from ${source.layout.key} to ${layout.key}`);
    this.call(operation, {
      name: `reorder ${name}`,
      kind: 'reorder',
      reads: [[argument.source, source]],
      writes: [[argument.output, made]],
    });
    return made;
  }

  call(operation: Operation, { name, kind, reads, writes, inPlace }: CallOptions): void {
    const { dnnl } = this,
      primitive = operation.create();
    operation.release();
    this.emitted.primitives.push(primitive);
    const list = [...reads, ...writes];
    for (const [, target] of list) this.emitted.used.add(target);
    let bytes: Uint8Array | undefined;
    this.step({
      name,
      kind,
      reads: reads.map(([, read]) => read),
      writes: writes.map(([, written]) => written),
      inPlace,
      run: () => {
        bytes ??= packed(list.map(([number, target]) => [number, target.memory!]));
        dnnl.execute(primitive, bytes);
      },
    });
  }

  step(step: Step): void {
    this.emitted.steps.push(step);
  }

  finish(): Emitted {
    return this.emitted;
  }

  private place(
    dims: readonly number[],
    dtype: DataType,
    layout: Layout | undefined,
    storage: Place['storage'],
  ): Place {
    const made: Place = { dims, dtype, layout, storage, memory: undefined, data: none };
    this.emitted.places.push(made);
    return made;
  }

  /** Says where a value is made. */
  private hold(name: string, place: Place): void {
    invariant(!this.places.has(name), `${this.graph.name}: ${JSON.stringify(name)} is made twice`);
    this.places.set(name, [place]);
  }

  private plainLayout(dims: readonly number[], dtype: DataType): Layout | undefined {
    return dtype === 'float32' && sizeOf(dims) > 0 ? this.dnnl.plain(atLeastOne(dims)) : undefined;
  }

  /** The places of a value; one that comes from outside gets its first here, in `layout` if it is free. */
  private placesOf(name: string, layout?: Layout): Place[] {
    let list = this.places.get(name);
    if (!list) this.places.set(name, (list = [this.outsidePlace(name, layout)]));
    return list;
  }

  private outsidePlace(name: string, layout: Layout | undefined): Place {
    const { shape, dtype } = this.value(name);
    const constant = this.graph.constants.get(name);
    if (constant) return this.constantPlace(constant);
    if (this.state.has(name))
      return this.statePlace(name, layout ?? this.slotLayout(name) ?? this.plainLayout(shape, dtype));
    invariant(
      this.graph.inputs.some((input) => input.name === name),
      `${this.graph.name}: nothing makes ${JSON.stringify(name)}`,
    );
    const storage = createStorage(bytesOf(dtype, shape), 'feed');
    const fed = this.place(shape, dtype, this.plainLayout(shape, dtype), storage);
    this.emitted.inputs.set(name, fed);
    return fed;
  }

  private constantPlace({ data, dims, dtype }: Tensor): Place {
    const block = this.heap.allocate(data.byteLength);
    this.emitted.blocks.push(block);
    block.view().set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return this.place(dims, dtype, this.plainLayout(dims, dtype), createStorage(data.byteLength, 'block', block));
  }

  /** The entry of the state in a layout, which it then has for good. */
  private statePlace(name: string, layout: Layout | undefined): Place {
    const { shape, dtype } = this.value(name);
    const wanted = this.store.layoutOf(name, shape) ?? layout;
    if (wanted && dtype === 'float32') this.store.decide(name, wanted);
    const made = this.place(shape, dtype, wanted, createStorage(wanted?.bytes ?? bytesOf(dtype, shape), 'block'));
    this.emitted.inputs.set(name, made);
    return made;
  }

  /**
   * `NAME@slot`, what an optimizer or an average keeps for a parameter, lies as the parameter does.
   */
  private slotLayout(name: string): Layout | undefined {
    const { shape } = this.value(name),
      owner = name.slice(0, Math.max(0, name.lastIndexOf('@')));
    if (owner === '') return undefined;
    const layout = this.places.get(owner)?.[0]?.layout ?? this.store.layoutOf(owner, shape);
    return layout?.dims.join() === atLeastOne(shape).join() ? layout : undefined;
  }
}
