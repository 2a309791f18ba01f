import { invariant } from '../errors.js';
import type { GraphBuilder } from './builder.js';
import type { Graph, Node, Value } from './graph.js';

export interface InlineOptions {
  /** May take a node's place: returns the values of its outputs, or undefined to have it copied. */
  readonly node?: (
    node: Node,
    inputs: readonly (Value | undefined)[],
    builder: GraphBuilder,
  ) => readonly Value[] | undefined;
}

/**
 * Copies `graph` into `builder` and returns its outputs by name. `inputs` says which value stands
 * for which graph input; an input that is not named is the builder's value of that name, when it
 * has one of the same type among its inputs, else it is declared as an input. Node names are kept
 * (inside the builder's scope), so are value names where they are free.
 */
export function inline(
  builder: GraphBuilder,
  graph: Graph,
  inputs: Readonly<Record<string, Value>>,
  options: InlineOptions = {},
): Record<string, Value> {
  const values = new Map<string, Value>();
  for (const { name, dtype, shape } of graph.inputs) {
    values.set(
      name,
      inputs[name] ?? builder.inputs.find((input) => input.name === name) ?? builder.input(name, dtype, shape),
    );
  }
  for (const name of Object.keys(inputs))
    invariant(values.has(name), `${graph.name}: no input named ${JSON.stringify(name)}`);
  const find = (name: string): Value | undefined => {
    if (name === '') return undefined;
    let value = values.get(name);
    if (!value) {
      const constant = graph.constants.get(name);
      invariant(constant, `${graph.name}: no value named ${JSON.stringify(name)}`);
      value = builder.constant(constant, constant.dims.length === 0 || builder.has(name) ? undefined : name);
      values.set(name, value);
    }
    return value;
  };
  for (const node of graph.nodes) {
    const operands = node.inputs.map(find);
    const copies = options.node?.(node, operands, builder) ?? copy(builder, node, operands);
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      const value = copies[i];
      invariant(value, `${node.name}: nothing replaces its output ${i}`);
      values.set(name, value);
    });
  }
  return Object.fromEntries(graph.outputs.map((name) => [name, find(name)!]));
}

function copy(builder: GraphBuilder, node: Node, inputs: readonly (Value | undefined)[]): Value[] {
  const names: string[] = [];
  for (const name of node.outputs) {
    // as far as they are free
    if (name === '' || builder.has(name)) break;
    names.push(name);
  }
  return builder.node(
    node.op,
    inputs.map((input) => input ?? null),
    node.attributes,
    {
      name: node.name,
      domain: node.domain,
      outputs: node.outputs.length,
      outputNames: names,
    },
  );
}
