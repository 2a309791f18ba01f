import type { Graph } from '../../graph/graph.js';
import { foldNormalization } from '../../graph/passes.js';
import { arrayType, sizeOf, type Tensor, type TypedArray } from '../../tensor.js';
import type { Choices } from './choices/choices.js';
import type { Dnnl } from './library/dnnl.js';
import { createEmitter } from './emit.js';
import type { Emitted } from './emitter.js';
import type { Block, Heap } from './memory/heap.js';
import { findBiases, findFusions } from './patterns/fusions.js';
import { findGroups } from './loops/groups.js';
import { lowerGroup } from './loops/write.js';
import { lowerNode } from './lowerings/index.js';
import { plan, rootOf, viewOf, type Place, type Replacement, type Step, type Storage } from './memory/places.js';
import type { Entry, Store } from './memory/store.js';

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

export interface ProgramOptions {
  readonly state: Readonly<Record<string, string | null>>;
  readonly profile: boolean;
  /** Activations and gradients in bfloat16. */
  readonly isHalved: boolean;
}

interface Tools {
  readonly dnnl: Dnnl;
  readonly heap: Heap;
  readonly store: Store;
  readonly choices: Choices;
}

/** Steps that make something which is read later, or wanted in the end. */
function needed(steps: readonly Step[], wanted: readonly Place[]): Step[] {
  const read = new Set<Storage>(wanted.map(({ storage }) => rootOf(storage)));
  const kept: Step[] = [];
  for (const step of [...steps].reverse()) {
    if (!step.writes.some(({ storage }) => read.has(rootOf(storage)))) continue;
    for (const { storage } of step.reads) read.add(rootOf(storage));
    kept.push(step);
  }
  return kept.reverse();
}

/** Writes a graph of known sizes as steps, plans its memory and generates its primitives. */
export function compileProgram(
  given: Graph,
  tools: Tools,
  { state, profile, isHalved }: ProgramOptions,
): CompiledProgram {
  const { dnnl, heap, store, choices } = tools,
    graph = foldNormalization(given);
  const emitter = createEmitter(graph, new Set(Object.keys(state)), dnnl, store, heap, choices, isHalved);
  emitter.fusions = findFusions(graph, emitter);
  emitter.biases = findBiases(graph, emitter);
  const groups = findGroups(graph, emitter);
  emitter.grouped = groups.members;
  for (const node of graph.nodes) {
    const group = groups.last.get(node);
    if (group) {
      if (!lowerGroup(emitter, group)) for (const member of group.nodes) lowerNode(emitter, member);
    } else if (!groups.members.has(node) && !emitter.isDone(node)) {
      lowerNode(emitter, node);
    }
  }
  const replaced = new Set(Object.values(state).filter((name) => name !== null));
  const returned = graph.outputs
    .filter((name) => !replaced.has(name))
    .map((name) => [name, emitter.plain(name)] as const);
  const replacements = Object.entries(state).flatMap(([name, output]): Replacement[] => {
    const entry = emitter.held(name);
    if (output === null) return [];
    return [{ entry, next: entry.layout ? emitter.as(output, entry.layout) : emitter.plain(output) }];
  });
  const emitted = emitter.finish();
  const steps = needed(emitted.steps, [...returned.map(([, place]) => place), ...replacements.map(({ next }) => next)]);
  const once = constantSteps(steps, emitted, heap);
  const { bytes, copies } = plan(
    steps,
    returned.map(([, place]) => place),
    replacements,
  );
  const arena = heap.allocate(bytes);
  return bind(graph, tools, { emitted, once, steps, arena, copies, returned, state: Object.keys(state), profile });
}

/**
 * Takes the reorders of constants out of the steps: their results get blocks, and they run once.
 */
function constantSteps(steps: Step[], { blocks }: Emitted, heap: Heap): Step[] {
  const constants = new Set<Block>(blocks);
  const isConstant = ({ storage }: Place): boolean => storage.block !== undefined && constants.has(storage.block);
  const once = steps.filter((step) => {
    if (step.kind !== 'reorder' || !step.reads.every(isConstant)) return false;
    for (const { storage } of step.writes) {
      const block = heap.allocate(storage.bytes);
      storage.kind = 'block';
      storage.block = block;
      blocks.push(block);
      constants.add(block);
    }
    return true;
  });
  const gone = new Set(once);
  steps.splice(0, steps.length, ...steps.filter((step) => !gone.has(step)));
  return once;
}

/** The array that a place's elements are seen through; bfloat16 as its bits. */
function arrayOf({ layout, dtype }: Place): ReturnType<typeof arrayType> {
  if (!layout || layout.type === 'f32') return arrayType(dtype);
  return layout.type === 'bf16' ? Uint16Array : Uint8Array;
}

interface Planned {
  readonly emitted: Emitted;
  readonly once: readonly Step[];
  readonly steps: readonly Step[];
  readonly arena: Block;
  readonly copies: readonly Replacement[];
  readonly returned: readonly (readonly [string, Place])[];
  readonly state: readonly string[];
  readonly profile: boolean;
}

function bind(graph: Graph, { dnnl, heap, store }: Tools, planned: Planned): CompiledProgram {
  const { emitted, steps, arena, copies, returned, state } = planned,
    { inputs, used, blocks, primitives } = emitted;
  const live = new Set([...planned.once, ...steps].flatMap(({ reads, writes }) => [...reads, ...writes]));
  for (const [, place] of returned) live.add(place);
  for (const place of inputs.values()) live.add(place);
  for (const { entry, next } of copies) live.add(entry).add(next);
  const memories = [...live].filter((place) => used.has(place));
  for (const place of memories) place.memory = dnnl.memory(place.layout!);
  const feeds = graph.inputs.filter(({ name }) => !state.includes(name));
  const bound = new Map<string, Entry>();
  let version = -1;

  /** Points every place to where its bytes are now. */
  const point = (): void => {
    for (const [name, entry] of bound) {
      const storage = inputs.get(name)?.storage;
      if (storage) storage.block = entry.block;
    }
    const memory = arena.view();
    for (const place of live) {
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
    version = heap.version;
  };
  const prepare = (): void => {
    let changed = version !== heap.version;
    for (const name of state) {
      const entry = store.get(name);
      if (!entry)
        throw new Error(`${graph.name}: the engine's state has no entry named ${JSON.stringify(name)}; write it first`);
      if (bound.get(name)?.block !== entry.block) {
        const place = inputs.get(name)!;
        if (entry.dtype !== place.dtype || entry.dims.join() !== place.dims.join()) {
          throw new Error(
            `${graph.name}: the state's ${name} is ${entry.dtype} [${entry.dims.join(', ')}], not ${place.dtype} [${place.dims.join(', ')}]`,
          );
        }
        if (entry.layout?.key !== place.layout?.key)
          throw new Error(
            `${graph.name}: the state's ${name} lies as ${entry.layout?.key}, not as ${place.layout?.key}`,
          );
        changed = true;
      }
      bound.set(name, entry);
    }
    if (changed) point();
    if (isPrepared) return;
    for (const step of planned.once) step.run();
    isPrepared = true;
  };
  let isPrepared = false;
  const feed = (given: Readonly<Record<string, Tensor>>): void => {
    for (const { name, dtype, shape } of feeds) {
      const tensor = given[name],
        place = inputs.get(name);
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
  };
  const finish = (): void => {
    const isState = new Set(copies.map(({ entry }) => rootOf(entry.storage)));
    // what is another entry must be read before that is replaced
    const sources = copies.map(
      ({ next }) => (isState.has(rootOf(next.storage)) ? next.data.slice() : next.data) as Float32Array,
    );
    copies.forEach(({ entry }, i) => (entry.data as Float32Array).set(sources[i]!));
  };
  const times = new Map<string, { milliseconds: number; steps: number }>();
  const runSteps = planned.profile
    ? (): void => {
        for (const step of steps) {
          const from = performance.now();
          step.run();
          const entry = times.get(step.kind) ?? { milliseconds: 0, steps: 0 };
          times.set(step.kind, { milliseconds: entry.milliseconds + performance.now() - from, steps: entry.steps + 1 });
        }
      }
    : (): void => {
        for (const step of steps) step.run();
      };

  return {
    name: graph.name,
    run(given) {
      prepare();
      feed(given);
      runSteps();
      const outputs: Record<string, Tensor> = {};
      for (const [name, place] of returned) {
        outputs[name] = { dtype: place.dtype, dims: [...place.dims], data: place.data.slice(0, sizeOf(place.dims)) };
      }
      finish();
      return outputs;
    },
    profile: () =>
      [...times].map(([kind, entry]) => ({ kind, ...entry })).sort((a, b) => b.milliseconds - a.milliseconds),
    release() {
      for (const primitive of primitives) dnnl.releasePrimitive(primitive);
      for (const { memory } of memories) if (memory !== undefined) dnnl.releaseMemory(memory);
      for (const block of blocks) block.release();
      arena.release();
    },
  };
}
