import { unaryOf } from '../../graph/evaluate/functions.js';
import { evaluateNode } from '../../graph/evaluate.js';
import { sameShape, type Attributes, type Graph, type Node } from '../../graph/graph.js';
import { prune } from '../../graph/passes.js';
import { tensor } from '../../tensor.js';

/**
 * Activations that files write with several ops, made one op each, for which engines have fast code
 * forward and backward. They are known by what they compute, not by how they are written: every
 * value that depends on x alone, element by element, is computed at a few points in doubles and
 * compared.
 */

/** No point is a kink of anything. */
const points = Float64Array.from({ length: 33 }, (_, i) => -7.93 + 0.5 * i);

const known = (
  [
    ['Swish', { alpha: 1 }],
    ['Swish', { alpha: 1.702 }],
    ['Gelu', { approximate: 'none' }],
    ['Gelu', { approximate: 'tanh' }],
    ['HardSwish', {}],
    ['Mish', {}],
  ] satisfies [string, Attributes][]
).map(([op, attributes]) => ({ op, attributes, values: points.map(unaryOf(op, attributes)!) }));

const isLike = (a: Float64Array, b: Float64Array): boolean =>
  a.every((value, i) => Math.abs(value - b[i]!) < 2e-6 * Math.max(1, Math.abs(b[i]!)));

/** Ops of which an activation of several ops has at least one, and all that it may have. */
const telling = new Set(['Sigmoid', 'Erf', 'Tanh', 'Softplus', 'Exp', 'HardSigmoid', 'Clip']);
const elementwise = new Set([...telling, 'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Log', 'Sqrt', 'Reciprocal', 'Pow']);
/** How many values before an op with a name of its own are tried. */
const mostBefore = 8;

/** The graph with its activations as the ops Swish, Gelu, HardSwish and Mish. */
export function fuseActivations(graph: Graph): Graph {
  const readers = new Map<string, Node[]>(),
    producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  for (const node of graph.nodes)
    for (const name of new Set(node.inputs)) readers.set(name, [...(readers.get(name) ?? []), node]);
  const view = { graph, readers, position: new Map(graph.nodes.map((node, i) => [node, i])) };
  /** Values of the same shape that one is computed from, nearest first: GELU's Tanh is of a polynomial of x. */
  const before = (name: string): string[] => {
    const found = [name];
    for (let i = 0; i < found.length && found.length < mostBefore; i++) {
      const node = producers.get(found[i]!);
      if (!node || !elementwise.has(node.op)) continue;
      for (const input of node.inputs)
        if (!found.includes(input) && !graph.constants.has(input) && haveSameShape(graph, input, name))
          found.push(input);
    }
    return found;
  };
  const replaced = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (!telling.has(node.op) || graph.values.get(node.inputs[0]!)!.dtype !== 'float32') continue;
    for (const x of before(node.inputs[0]!)) {
      const found = activationsOf(view, x);
      for (const [written, whole] of found) if (!replaced.has(written)) replaced.set(written, whole);
      if (found.size > 0) break;
    }
  }
  if (replaced.size === 0) return graph;
  return prune({ ...graph, nodes: graph.nodes.map((node) => replaced.get(node) ?? node) });
}

interface GraphView {
  readonly graph: Graph;
  readonly readers: ReadonlyMap<string, readonly Node[]>;
  readonly position: ReadonlyMap<Node, number>;
}

/** Follows what depends on x alone: the nodes whose results are activations of x, with those ops. */
function activationsOf({ graph, readers, position }: GraphView, x: string): Map<Node, Node> {
  const traced = new Map<string, Float64Array>([[x, points]]),
    found = new Map<Node, Node>(),
    queue = new Set(readers.get(x));
  for (let next; (next = first(queue, position));) {
    const node = next,
      output = node.outputs[0]!;
    queue.delete(node);
    const values = haveSameShape(graph, output, x) ? trace(graph, node, traced) : undefined;
    if (!values) continue;
    traced.set(output, values);
    const match = known.find((activation) => isLike(values, activation.values));
    if (match) found.set(node, { ...node, op: match.op, domain: '', inputs: [x], attributes: match.attributes });
    for (const reader of readers.get(output) ?? []) queue.add(reader);
  }
  return found;
}

/** The node that comes first in the graph. */
const first = (nodes: ReadonlySet<Node>, position: ReadonlyMap<Node, number>): Node | undefined =>
  [...nodes].reduce<Node | undefined>((a, b) => (a && position.get(a)! < position.get(b)! ? a : b), undefined);

/** A node's result at the points; undefined when it depends on more than x. */
function trace(graph: Graph, node: Node, traced: ReadonlyMap<string, Float64Array>): Float64Array | undefined {
  if (!elementwise.has(node.op)) return undefined;
  const operands = node.inputs.map((name) => {
    if (name === '') return null;
    const constant = graph.constants.get(name);
    return traced.get(name) ?? (constant?.data.length === 1 ? points.map(() => Number(constant.data[0])) : undefined);
  });
  if (!operands.every((values) => values !== undefined)) return undefined;
  const tensors = operands.map((values) => (values ? tensor('float64', [values.length], values) : undefined));
  return evaluateNode(node, tensors, { float64: true })[0]!.data as Float64Array;
}

const haveSameShape = (graph: Graph, a: string, b: string): boolean => {
  const [left, right] = [graph.values.get(a), graph.values.get(b)];
  return left !== undefined && right !== undefined && sameShape(left.shape, right.shape);
};
