import { invariant } from '../../errors.js';
import type { Graph, Node, Value } from '../graph.js';
import { subgraph } from './prune.js';

/** A part of a graph that runs at one go, between two exchanges of ranks. */
export interface Stage {
  readonly graph: Graph;
  /** Entries of the store as for `Engine.compile`, those among them that are carried from stage to stage. */
  readonly state: Readonly<Record<string, string | null>>;
  /** What ranks exchange after it: by the name of each mean the value that it is of, an output of the stage. */
  readonly exchanged: ReadonlyMap<string, string>;
}

export interface Stages {
  readonly stages: readonly Stage[];
  /** Entries of the store, beside the state, by which earlier stages hand values to later ones. */
  readonly carried: readonly Value[];
}

const isExchange = ({ op }: Node): boolean => op === 'MeanOverRanks';

/**
 * Cuts a graph at every `MeanOverRanks` into stages that run one after another; means that do not depend on each
 * other are exchanged together. `state` are the entries of the store that the whole graph reads and replaces. A stage
 * is fed what it reads of the graph's inputs, of the means, and of what earlier stages returned.
 */
export function stagesOf(graph: Graph, state: Readonly<Record<string, string | null>>): Stages {
  const levels = levelsOf(graph.nodes);
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const levelOf = (name: string): number => {
    const maker = makers.get(name);
    invariant(maker && !isExchange(maker), `${graph.name}: ${name} is made in no stage`);
    return levels.get(maker)!;
  };
  const count = Math.max(...levels.values()) + 1;
  const means = Array.from({ length: count }, () => new Map<string, string>());
  const read = Array.from({ length: count }, () => new Set<string>());
  for (const node of graph.nodes) {
    const level = levels.get(node)!;
    if (isExchange(node)) means[level]!.set(node.outputs[0]!, node.inputs[0]!);
    else for (const name of node.inputs) read[level]!.add(name);
  }
  const isMean = (name: string): boolean => makers.has(name) && isExchange(makers.get(name)!);
  const isEarlier = (name: string, level: number): boolean =>
    makers.has(name) && !isMean(name) && levelOf(name) < level;
  const slots = slotsOf(
    graph,
    state,
    new Set(read.flatMap((names, level) => [...names].filter((name) => isEarlier(name, level)))),
    means.flatMap((some) => [...some.values()]),
  );
  for (const [name, next] of Object.entries(state))
    invariant(
      next === null || read.findLastIndex((names) => names.has(name)) <= levelOf(next),
      `${graph.name}: ${name} is replaced before it is read`,
    );

  const stages = read.map((names, level): Stage => {
    const made = new Set(
      [...graph.outputs, ...means[level]!.values(), ...slots.keys()].filter((name) => levelOf(name) === level),
    );
    const fed = [...names].filter((name) => isMean(name) || isEarlier(name, level));
    const entries = new Map<string, string | null>();
    for (const name of Object.keys(state)) if (names.has(name)) entries.set(name, null);
    for (const name of fed) if (slots.has(name)) entries.set(slots.get(name)!, null);
    for (const name of made) if (slots.has(name)) entries.set(slots.get(name)!, name);
    const part = renamed(subgraph(graph, fed, [...made]), (name) =>
      made.has(name) ? name : (slots.get(name) ?? name),
    );
    return {
      graph: withInputs({ ...part, name: `${graph.name}, stage ${level + 1}` }, [
        // Entries that are only written are inputs too.
        ...[...entries].flatMap(([name, next]) => (next === null ? [] : [{ ...graph.values.get(next)!, name }])),
      ]),
      state: Object.fromEntries(entries),
      exchanged: means[level]!,
    };
  });
  const carried = [...slots].filter(([, slot]) => !Object.hasOwn(state, slot));
  return { stages, carried: carried.map(([name, slot]) => ({ ...graph.values.get(name)!, name: slot })) };
}

/**
 * The entries of the store that values go to, by name: those that the state says, and for what `later` stages read
 * one of its own, unless the stage returns it anyway. It is called a slot of the value: an engine may keep it in the
 * layout in which it was made.
 */
function slotsOf(
  graph: Graph,
  state: Readonly<Record<string, string | null>>,
  later: ReadonlySet<string>,
  exchanged: readonly string[],
): ReadonlyMap<string, string> {
  const slots = new Map(
    Object.entries(state).flatMap(([name, next]) => (next === null ? [] : [[next, name] as const])),
  );
  for (const name of exchanged)
    invariant(!slots.has(name), `${graph.name}: ${name} is exchanged and replaces ${slots.get(name)}`);
  const returned = new Set([...graph.outputs, ...exchanged]);
  for (const name of later) if (!slots.has(name) && !returned.has(name)) slots.set(name, `${name}@carried`);
  return slots;
}

/**
 * The stage of each node: the first in which all that it reads is there. What waits for no exchange is made where
 * it is read first, so that nothing is carried which could as well be made later.
 */
function levelsOf(nodes: readonly Node[]): Map<Node, number> {
  const levels = new Map<Node, number>(),
    ready = new Map<string, number>();
  for (const node of nodes) {
    const level = Math.max(0, ...node.inputs.map((name) => ready.get(name) ?? 0));
    levels.set(node, level);
    for (const name of node.outputs) ready.set(name, isExchange(node) ? level + 1 : level);
  }
  const firstRead = new Map<string, number>();
  for (const node of [...nodes].reverse()) {
    const reads = node.outputs.flatMap((name) => firstRead.get(name) ?? []);
    if (levels.get(node) === 0 && !isExchange(node) && reads.length > 0) levels.set(node, Math.min(...reads));
    const level = levels.get(node)!;
    for (const name of node.inputs) firstRead.set(name, Math.min(level, firstRead.get(name) ?? level));
  }
  return levels;
}

/** The graph with what it reads renamed. */
function renamed(graph: Graph, nameOf: (name: string) => string): Graph {
  const inputs = graph.inputs.map((input) => ({ ...input, name: nameOf(input.name) }));
  return {
    ...graph,
    inputs,
    nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(nameOf) })),
    values: new Map([...graph.values, ...inputs.map((input) => [input.name, input] as const)]),
  };
}

/** The graph with these inputs, some of which it may have. */
function withInputs(graph: Graph, more: readonly Value[]): Graph {
  const absent = more.filter(({ name }) => !graph.inputs.some((input) => input.name === name));
  return {
    ...graph,
    inputs: [...graph.inputs, ...absent],
    values: new Map([...graph.values, ...absent.map((input) => [input.name, input] as const)]),
  };
}
