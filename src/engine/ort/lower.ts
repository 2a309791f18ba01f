import type { Graph, Node, Value } from '../../graph/graph.js';
import { createEmitter, sized, type Emitter, type Sized } from './emitter.js';
import type { Choices } from './choices.js';
import { lowerings } from './lowerings/index.js';

/** What a lowering gets: the node, its inputs, and the emitter to write nodes with. */
export interface LoweringContext {
  readonly e: Emitter;
  readonly node: Node;
  /** The node's outputs as declared in the graph. */
  readonly outputs: readonly Value[];
  readonly choices: Choices;
  has(index: number): boolean;
  /** Input `index`, whose sizes must be known. */
  input(index: number): Sized;
  /** Whether anything reads output `index`. */
  wanted(index: number): boolean;
}

/** Writes other nodes in place of one; one value per output. Undefined leaves the node as it is. */
export type Lowering = (context: LoweringContext) => readonly (Value | undefined)[] | undefined;

/** Replaces what onnxruntime cannot run, or runs slowly, by what it runs fast. Needs known sizes only where a node is replaced. */
export function lower(graph: Graph, choices: Choices): Graph {
  const e = createEmitter(graph);
  const current = new Map<string, Value>();
  const read = new Set([...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)]);
  const valueOf = (name: string): Value => {
    const value = current.get(name) ?? graph.values.get(name);
    if (!value) throw new Error(`${graph.name}: no value named ${JSON.stringify(name)}`);
    return value;
  };
  for (const node of graph.nodes) {
    e.at(node.name);
    const outputs = node.outputs.map((name) => (name === '' ? { name, dtype: 'float32' as const, shape: [] } : valueOf(name)));
    const replaced = lowerings.get(node.op)?.({
      e, node, outputs, choices,
      has: (index) => (node.inputs[index] ?? '') !== '',
      input: (index) => sized(valueOf(node.inputs[index] ?? ''), node.name),
      wanted: (index) => read.has(node.outputs[index] ?? ''),
    });
    if (!replaced) {
      e.copy(node, node.inputs.map((name) => (name === '' ? '' : valueOf(name).name)), outputs);
      continue;
    }
    node.outputs.forEach((name, index) => {
      const value = replaced[index];
      if (!value) return;
      if (graph.outputs.includes(name)) {
        e.copy({ name: `${node.name}/output ${index}`, op: 'Identity', domain: '', inputs: [], outputs: [name], attributes: {} },
          [value.name], [outputs[index]!]);
      } else current.set(name, value);
    });
  }
  return e.build(graph.inputs, graph.outputs);
}
