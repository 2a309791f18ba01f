import type { Graph } from '../../graph/graph.js';
import { foldNormalization } from '../../graph/passes.js';
import { bind, type CompiledProgram } from './bind.js';
import { ProgramEmitter, type Tools } from './emit.js';
import type { Emitted } from './emitter.js';
import type { Block, Heap } from './memory/heap.js';
import { findBiases, findFusions } from './patterns/fusions.js';
import { findGroups } from './loops/groups.js';
import { writtenOut } from './patterns/written-out.js';
import { lowerGroup } from './loops/write.js';
import { lowerNode } from './lowerings/index.js';
import { plan, rootOf, type Place, type Replacement, type Step, type Storage } from './memory/places.js';

export interface ProgramOptions {
  readonly state: Readonly<Record<string, string | null>>;
  readonly profile: boolean;
  /** Activations and gradients in bfloat16. */
  readonly isHalved: boolean;
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
  const { heap } = tools,
    graph = writtenOut(foldNormalization(given));
  const emitter = new ProgramEmitter(graph, new Set(Object.keys(state)), tools, isHalved);
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
