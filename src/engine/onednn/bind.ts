import type { Graph } from '../../graph/graph.js';
import { arrayType, sizeOf, type Tensor, type TypedArray } from '../../tensor.js';
import type { Tools } from './emit.js';
import type { Emitted } from './emitter.js';
import type { Block } from './memory/heap.js';
import { rootOf, viewOf, type Place, type Replacement, type Step } from './memory/places.js';
import type { Entry } from './memory/store.js';

/** A compiled graph: its steps, and memory for everything between them. */
export interface CompiledProgram {
  readonly name: string;
  /** Runs the steps; returns copies of the outputs that do not go to the state. */
  run(feeds: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
  /**
   * Milliseconds of each kind of step since the program was compiled, most first; empty unless
   * `profile` was asked for.
   */
  profile(): readonly { readonly kind: string; readonly milliseconds: number; readonly steps: number }[];
  release(): void;
}

/** Steps with their memory planned. */
export interface Planned {
  readonly emitted: Emitted;
  /** Steps of constants, run before the first run. */
  readonly once: readonly Step[];
  readonly steps: readonly Step[];
  readonly arena: Block;
  /** Entries of the state that are overwritten after the run. */
  readonly copies: readonly Replacement[];
  readonly returned: readonly (readonly [string, Place])[];
  /** Names of the entries of the state that the graph reads. */
  readonly state: readonly string[];
  readonly profile: boolean;
}

/** The array that a place's elements are seen through; bfloat16 as its bits. */
function arrayOf({ layout, dtype }: Place): ReturnType<typeof arrayType> {
  if (!layout || layout.type === 'f32') return arrayType(dtype);
  return layout.type === 'bf16' ? Uint16Array : Uint8Array;
}

/** All places that steps, callers and the state see. */
function livePlaces({ emitted, once, steps, returned, copies }: Planned): Set<Place> {
  const live = new Set([...once, ...steps].flatMap(({ reads, writes }) => [...reads, ...writes]));
  for (const [, place] of returned) live.add(place);
  for (const place of emitted.inputs.values()) live.add(place);
  for (const { entry, next } of copies) live.add(entry).add(next);
  return live;
}

/** Where a program's places are: in the arena, and in blocks of the state, which may move. */
class Binding {
  private readonly live: ReadonlySet<Place>;
  private readonly memories: readonly Place[];
  private readonly bound = new Map<string, Entry>();
  private version = -1;

  constructor(
    private readonly graph: Graph,
    private readonly tools: Tools,
    private readonly planned: Planned,
  ) {
    this.live = livePlaces(planned);
    this.memories = [...this.live].filter((place) => planned.emitted.used.has(place));
    for (const place of this.memories) place.memory = tools.dnnl.memory(place.layout!);
  }

  /** Points every place to where its bytes are now, if anything has moved since the last run. */
  update(): void {
    const { heap, store } = this.tools;
    let changed = this.version !== heap.version;
    for (const name of this.planned.state) {
      const entry = store.get(name);
      if (!entry)
        throw new Error(
          `${this.graph.name}: the engine's state has no entry named ${JSON.stringify(name)}; write it first`,
        );
      if (this.bound.get(name)?.block !== entry.block) {
        this.checkEntry(name, entry);
        changed = true;
      }
      this.bound.set(name, entry);
    }
    if (changed) this.point();
  }

  release(): void {
    for (const { memory } of this.memories) if (memory !== undefined) this.tools.dnnl.releaseMemory(memory);
  }

  private checkEntry(name: string, entry: Entry): void {
    const place = this.planned.emitted.inputs.get(name)!,
      about = `${this.graph.name}: the state's ${name}`;
    if (entry.dtype !== place.dtype || entry.dims.join() !== place.dims.join()) {
      const wanted = `${place.dtype} [${place.dims.join(', ')}]`;
      throw new Error(`${about} is ${entry.dtype} [${entry.dims.join(', ')}], not ${wanted}`);
    }
    if (entry.layout?.key !== place.layout?.key)
      throw new Error(`${about} lies as ${entry.layout?.key}, not as ${place.layout?.key}`);
  }

  private point(): void {
    const { dnnl, heap } = this.tools;
    for (const [name, entry] of this.bound) {
      const storage = this.planned.emitted.inputs.get(name)?.storage;
      if (storage) storage.block = entry.block;
    }
    const memory = this.planned.arena.view();
    for (const place of this.live) {
      const bytes = viewOf(place.storage, memory),
        type = arrayOf(place);
      const length = Math.floor(bytes.length / type.BYTES_PER_ELEMENT);
      place.data = new (type as unknown as new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray)(
        bytes.buffer,
        bytes.byteOffset,
        length,
      );
      if (place.memory !== undefined) dnnl.point(place.memory, bytes);
    }
    this.version = heap.version;
  }
}

/** Copies a caller's tensors to where the graph reads them. */
function feed(graph: Graph, { emitted, state }: Planned, given: Readonly<Record<string, Tensor>>): void {
  for (const { name, dtype, shape } of graph.inputs) {
    if (state.includes(name)) continue;
    const tensor = given[name],
      place = emitted.inputs.get(name);
    if (!tensor) throw new Error(`${graph.name}: nothing was fed for the input ${JSON.stringify(name)}`);
    if (tensor.dtype !== dtype)
      throw new Error(`${graph.name}: the input ${JSON.stringify(name)} has type ${dtype}, got ${tensor.dtype}`);
    if (tensor.dims.join() !== shape.join()) {
      throw new Error(
        `${graph.name}: the input ${JSON.stringify(name)} is [${shape.join(', ')}], got [${tensor.dims.join(', ')}]`,
      );
    }
    (place?.data as Float32Array | undefined)?.set(tensor.data as Float32Array);
  }
}

/** Overwrites entries of the state by what replaces them. */
function replaceState(copies: readonly Replacement[]): void {
  const isState = new Set(copies.map(({ entry }) => rootOf(entry.storage)));
  // what is another entry must be read before that is replaced
  const sources = copies.map(
    ({ next }) => (isState.has(rootOf(next.storage)) ? next.data.slice() : next.data) as Float32Array,
  );
  copies.forEach(({ entry }, i) => (entry.data as Float32Array).set(sources[i]!));
}

/** Times of steps by their kind. */
class Stopwatch {
  private readonly times = new Map<string, { milliseconds: number; steps: number }>();

  run(step: Step): void {
    const from = performance.now();
    step.run();
    const entry = this.times.get(step.kind) ?? { milliseconds: 0, steps: 0 };
    this.times.set(step.kind, {
      milliseconds: entry.milliseconds + performance.now() - from,
      steps: entry.steps + 1,
    });
  }

  profile(): ReturnType<CompiledProgram['profile']> {
    return [...this.times].map(([kind, entry]) => ({ kind, ...entry })).sort((a, b) => b.milliseconds - a.milliseconds);
  }
}

/** Gives a planned program its memory; it can then run. */
export function bind(graph: Graph, tools: Tools, planned: Planned): CompiledProgram {
  const { emitted, steps, arena, copies, returned } = planned;
  const binding = new Binding(graph, tools, planned),
    stopwatch = new Stopwatch();
  let isPrepared = false;
  return {
    name: graph.name,
    run(given) {
      binding.update();
      if (!isPrepared) for (const step of planned.once) step.run();
      isPrepared = true;
      feed(graph, planned, given);
      if (planned.profile) for (const step of steps) stopwatch.run(step);
      else for (const step of steps) step.run();
      const outputs: Record<string, Tensor> = {};
      for (const [name, place] of returned) {
        outputs[name] = { dtype: place.dtype, dims: [...place.dims], data: place.data.slice(0, sizeOf(place.dims)) };
      }
      replaceState(copies);
      return outputs;
    },
    profile: () => stopwatch.profile(),
    release() {
      for (const primitive of emitted.primitives) tools.dnnl.releasePrimitive(primitive);
      binding.release();
      for (const block of emitted.blocks) block.release();
      arena.release();
    },
  };
}
