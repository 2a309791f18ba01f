import type { Attributes, Domain, Graph, Node, Value } from '../../graph/graph.js';
import type { DataType, Tensor } from '../../tensor.js';
import type { Sized } from './sized.js';

export interface EmitOptions {
  readonly domain?: Domain;
  readonly dtype?: DataType;
  /** Shapes of further outputs, which get the same element type unless told. */
  readonly more?: readonly { readonly shape: readonly number[]; readonly dtype?: DataType }[];
}

/**
 * Writes the nodes of a lowered graph. Unlike the graph builder it takes shapes from the caller,
 * because onnxruntime's own ops have no inference rules; every node is named after the node it was
 * lowered from.
 */
export interface NodeWriter {
  /** Sets the name that new nodes begin with. */
  at(name: string): void;
  /** Adds a node with one output of that shape. */
  emit(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes,
    shape: readonly number[],
    options?: EmitOptions,
  ): Sized;
  /** Adds a node with several outputs. */
  emitAll(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes,
    shape: readonly number[],
    options?: EmitOptions,
  ): Sized[];
  /** Copies a node as it is, with other inputs; its outputs keep names, types and shapes. */
  copy(node: Node, inputs: readonly string[], outputs: readonly Value[]): void;
  constant(t: Tensor): Sized;
  constantOf(value: Value): Tensor | undefined;
  build(inputs: readonly Value[], outputs: readonly string[]): Graph;
}

/** A writer that starts with the constants of `graph`. */
export function createWriter(graph: Graph): NodeWriter {
  const nodes: Node[] = [];
  const constants = new Map(graph.constants);
  const values = new Map<string, Value>();
  for (const input of graph.inputs) values.set(input.name, input);
  for (const [name, t] of constants)
    values.set(name, graph.values.get(name) ?? { name, dtype: t.dtype, shape: t.dims });
  const taken = new Set([...graph.values.keys(), ...graph.nodes.flatMap((node) => node.outputs)]);
  const shared = new Map<string, Sized>();
  let prefix = graph.name;
  let count = 0;

  const unique = (base: string): string => {
    let name = `${base}#${count++}`;
    while (taken.has(name)) name = `${base}#${count++}`;
    taken.add(name);
    return name;
  };

  const emitAll: NodeWriter['emitAll'] = (op, inputs, attributes, shape, options = {}) => {
    const dtype = options.dtype ?? inputs.find((input) => input !== null)?.dtype ?? 'float32';
    const name = unique(`${prefix}/${op}`);
    const outputs = [{ shape, dtype }, ...(options.more ?? [])].map((output, index): Sized => ({
      name: index === 0 ? name : unique(`${name}:${index}`),
      dtype: output.dtype ?? dtype,
      shape: output.shape,
    }));
    for (const output of outputs) values.set(output.name, output);
    nodes.push({
      name,
      op,
      domain: options.domain ?? '',
      attributes,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: outputs.map((output) => output.name),
    });
    return outputs;
  };

  const constant = (t: Tensor): Sized => {
    const key =
      t.data.length <= 64 ? `${t.dtype}:${t.dims.join(',')}:${Array.from(t.data, String).join(',')}` : undefined;
    const known = key === undefined ? undefined : shared.get(key);
    if (known) return known;
    const value: Sized = { name: unique('constant'), dtype: t.dtype, shape: [...t.dims] };
    constants.set(value.name, t);
    values.set(value.name, value);
    if (key !== undefined) shared.set(key, value);
    return value;
  };

  return {
    at: (name) => {
      prefix = name;
    },
    emit: (...input) => emitAll(...input)[0]!,
    emitAll,
    copy: (node, inputs, outputs) => {
      nodes.push({ ...node, inputs });
      for (const output of outputs) values.set(output.name, output);
    },
    constant,
    constantOf: (value) => constants.get(value.name),
    build: (inputs, outputs) => {
      const { live, used } = reachable(nodes, outputs);
      return {
        name: graph.name,
        inputs,
        outputs,
        nodes: shallowLast(live),
        values,
        constants: new Map([...constants].filter(([name]) => used.has(name))),
      };
    },
  };
}

/** The nodes that outputs depend on, and the names of all values that these read. */
function reachable(nodes: readonly Node[], outputs: readonly string[]): { live: Node[]; used: Set<string> } {
  const used = new Set(outputs);
  const live = nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => used.has(name))) return false;
    for (const name of node.inputs) used.add(name);
    return true;
  });
  return { live: live.reverse(), used };
}

/**
 * The same nodes, those that no other reads at the end, the deepest first. onnxruntime goes
 * backwards from such nodes, the last first; so it updates a layer's parameters as soon as it can
 * and frees that layer's gradients, before it goes on to earlier layers.
 */
function shallowLast(nodes: readonly Node[]): Node[] {
  const depths = new Map<string, number>();
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const last: { node: Node; depth: number }[] = [];
  const others = nodes.filter((node) => {
    const depth = 1 + Math.max(0, ...node.inputs.map((name) => depths.get(name) ?? 0));
    for (const name of node.outputs) depths.set(name, depth);
    if (node.outputs.some((name) => read.has(name))) return true;
    last.push({ node, depth });
    return false;
  });
  return [...others, ...last.sort((a, b) => b.depth - a.depth).map(({ node }) => node)];
}
