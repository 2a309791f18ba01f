import { PupilError } from '../../errors.js';
import { GraphBuilder } from '../builder.js';
import type { Graph, Node, Shape, Value } from '../graph.js';
import type { Tensor } from '../../tensor.js';

export interface RewriteHooks {
  /**
   * The shape of an input in the new graph, or undefined to leave the input out (then `constant`
   * must give it).
   */
  readonly inputShape?: (input: Value) => Shape;
  /** Makes an input a constant. */
  readonly constant?: (input: Value) => Tensor | undefined;
  /** What takes the place of a node: its outputs' values. Undefined copies the node. */
  readonly node?: (
    node: Node,
    inputs: readonly (Value | undefined)[],
    builder: GraphBuilder,
  ) => readonly Value[] | undefined;
}

/**
 * Copies a graph node by node, inferring every type and shape again; the hooks may change what is
 * copied. Names stay.
 */
export function rewrite(graph: Graph, hooks: RewriteHooks): Graph {
  const builder = new GraphBuilder(graph.name);
  const values = new Map<string, Value>();
  for (const input of graph.inputs) {
    const constant = hooks.constant?.(input);
    values.set(
      input.name,
      constant
        ? builder.constant(constant, input.name)
        : builder.input(input.name, input.dtype, hooks.inputShape?.(input) ?? input.shape),
    );
  }
  for (const [name, t] of graph.constants) values.set(name, builder.constant(t, name));
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? undefined : values.get(name)));
    const outputs = hooks.node?.(node, inputs, builder) ?? copyNode(node, inputs, builder);
    node.outputs.forEach((name, i) => {
      if (name !== '' && outputs[i]) values.set(name, outputs[i]);
    });
  }
  builder.outputs(
    Object.fromEntries(
      graph.outputs.map((name) => {
        const value = values.get(name);
        if (!value) throw new Error(`${graph.name}: the output ${JSON.stringify(name)} is no value of the graph`);
        return [name, value];
      }),
    ),
  );
  return builder.build();
}

/** The same node in another graph. */
export function copyNode(
  node: Node,
  inputs: readonly (Value | undefined)[],
  builder: GraphBuilder,
  attributes = node.attributes,
): Value[] {
  return builder.node(
    node.op,
    inputs.map((input) => input ?? null),
    attributes,
    {
      name: node.name,
      domain: node.domain,
      outputNames: outputNames(node),
    },
  );
}

/** Names for all outputs of a node, those included that nobody reads. */
export const outputNames = (node: Pick<Node, 'name' | 'outputs'>): string[] =>
  node.outputs.map((name, i) => (name === '' ? `${node.name}:unused${i}` : name));

/** Throws `usage` unless the graph has an input of that name. */
export function requireInput(graph: Graph, name: string): Value {
  const input = graph.inputs.find((candidate) => candidate.name === name);
  if (!input)
    throw new PupilError(
      'usage',
      `${graph.name}: no input named ${JSON.stringify(name)}; it has ${graph.inputs
        .map((i) => i.name)
        .slice(0, 8)
        .join(', ')}`,
    );
  return input;
}
