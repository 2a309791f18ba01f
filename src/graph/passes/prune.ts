import type { Graph, Node, Value } from '../graph.js';

/**
 * Removes nodes and constants that no output depends on. Inputs stay: they are what a caller feeds.
 */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs);
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    for (const input of node.inputs) if (input !== '') needed.add(input);
    nodes.push(node);
  }
  nodes.reverse();
  const constants = new Map([...graph.constants].filter(([name]) => needed.has(name)));
  const values = new Map<string, Value>();
  const keep = (name: string): void => {
    const value = graph.values.get(name);
    if (value) values.set(name, value);
  };
  for (const input of graph.inputs) keep(input.name);
  for (const name of constants.keys()) keep(name);
  for (const node of nodes) for (const output of node.outputs) keep(output);
  return { ...graph, nodes, constants, values };
}

/**
 * The part of a graph between values: those named in `inputs` are fed, those in `outputs` returned.
 * Other inputs of the graph that this part reads (parameters) stay inputs; those it does not read
 * are left out. Throws an Error for a name that is no value.
 */
export function subgraph(graph: Graph, inputs: readonly string[], outputs: readonly string[]): Graph {
  const find = (name: string): Value => {
    const value = graph.values.get(name);
    if (!value) throw new Error(`${graph.name}: no value named ${JSON.stringify(name)}`);
    return value;
  };
  const fed = new Set(inputs);
  const cut = prune({
    ...graph,
    inputs: [],
    outputs: outputs.map((name) => find(name).name),
    nodes: graph.nodes.map((node) =>
      node.outputs.some((output) => fed.has(output))
        ? { ...node, outputs: node.outputs.map((output) => (fed.has(output) ? '' : output)) }
        : node,
    ),
    constants: new Map([...graph.constants].filter(([name]) => !fed.has(name))),
  });
  const read = new Set([...outputs, ...cut.nodes.flatMap((node) => node.inputs)]);
  const kept = graph.inputs.filter((input) => !fed.has(input.name) && read.has(input.name));
  const all = [...inputs.map(find), ...kept];
  return {
    ...cut,
    inputs: all,
    values: new Map([...all.map((value): [string, Value] => [value.name, value]), ...cut.values]),
  };
}
