import { evaluateNode } from '../../../graph/evaluate.js';
import { staticDims, type Graph, type Node } from '../../../graph/graph.js';
import { prune } from '../../../graph/passes.js';
import { sizeOf, tensor, type Tensor } from '../../../tensor.js';
import { eltwise } from '../library/dnnl.js';

/**
 * Activations that a graph writes with several ops, made one op each, forward and backward, for
 * which the library has fast code. They are known by what they compute, not by how they are
 * written: every value that depends on x alone, element by element, is computed at a few points in
 * doubles and compared.
 */

interface Activation {
  /** The library's algorithm with its two parameters. */
  readonly algorithm: number;
  readonly alpha: number;
  readonly beta: number;
  readonly of: (x: number) => number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const swish = (alpha: number): Activation => ({
  algorithm: eltwise.swish,
  alpha,
  beta: 0,
  of: (x) => x * sigmoid(alpha * x),
});
/** Where the error function is wanted, the graph's own is taken: it is the reference's. */
const erf = (x: number): number =>
  (
    evaluateNode(
      { name: 'erf', op: 'Erf', domain: '', inputs: ['x'], outputs: ['y'], attributes: {} },
      [tensor('float64', [1], Float64Array.of(x))],
      { float64: true },
    )[0]!.data as Float64Array
  )[0]!;

const activations: readonly Activation[] = [
  swish(1),
  swish(1.702),
  { algorithm: eltwise.geluErf, alpha: 0, beta: 0, of: (x) => (x / 2) * (1 + erf(x * Math.SQRT1_2)) },
  {
    algorithm: eltwise.geluTanh,
    alpha: 0,
    beta: 0,
    of: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  },
  { algorithm: eltwise.mish, alpha: 0, beta: 0, of: (x) => x * Math.tanh(Math.log1p(Math.exp(x))) },
];

/** No point is a kink of anything. */
const points = Float64Array.from({ length: 33 }, (_, i) => -7.93 + 0.5 * i);
const step = 1e-4;
const known = activations.map((activation) => ({
  activation,
  values: points.map(activation.of),
  slopes: points.map((x) => (activation.of(x + step) - activation.of(x - step)) / (2 * step)),
}));

const isLike = (a: Float64Array, b: Float64Array): boolean =>
  a.every((value, i) => Math.abs(value - b[i]!) < 2e-6 * Math.max(1, Math.abs(b[i]!)));

/**
 * Ops that may be part of an activation, and those that an activation of several ops has at least
 * one of.
 */
const telling = new Set(['Sigmoid', 'Erf', 'Tanh', 'Softplus', 'Exp']);
const elementwise = new Set([...telling, 'Add', 'Sub', 'Mul', 'Div', 'Neg', 'Log', 'Sqrt', 'Reciprocal', 'Pow']);
/** Elements from which it pays. */
const large = 8192;
/** How many values before an op with a name of its own are tried. */
const mostBefore = 8;

/** What is at the points: a function of x, or dy times one. */
interface Traced {
  readonly dy: string | undefined;
  readonly values: Float64Array;
}

/**
 * Follows everything that depends on x alone, or on x and linearly on one dy, and names what is
 * found.
 */
function follow({ graph, readers, producers, position }: Context, x: string): Map<Node, Node> {
  const shape = graph.values.get(x)!.shape.join(),
    traced = new Map<string, Traced>([[x, { dy: undefined, values: points }]]);
  const found = new Map<Node, Node>(),
    queue = [...(readers.get(x) ?? [])].map((node) => position.get(node)!),
    seen = new Set<number>();
  while (queue.length > 0) {
    queue.sort((a, b) => a - b);
    const at = queue.shift()!;
    if (seen.has(at)) continue;
    seen.add(at);
    const node = graph.nodes[at]!,
      [output] = node.outputs;
    if (!elementwise.has(node.op) || node.outputs.length !== 1 || graph.values.get(output!)!.shape.join() !== shape)
      continue;
    const made = trace(graph, node, traced, shape, producers);
    if (!made) continue;
    traced.set(output!, made);
    const match = known.find(({ values, slopes }) => isLike(made.values, made.dy === undefined ? values : slopes));
    if (match) {
      const { algorithm, alpha, beta } = match.activation,
        attributes = { algorithm, alpha, beta };
      found.set(
        node,
        made.dy === undefined
          ? { ...node, op: 'Activation', domain: 'pupil', inputs: [x], attributes }
          : { ...node, op: 'ActivationGrad', domain: 'pupil', inputs: [made.dy, x], attributes },
      );
      if (made.dy !== undefined) continue; // what follows is another's dy
    }
    for (const reader of readers.get(output!) ?? []) queue.push(position.get(reader)!);
  }
  return [...found.values()].some(({ op }) => op === 'Activation') ? found : new Map<Node, Node>();
}

/** A value without a constant factor that it was just multiplied by. */
function withoutFactor(
  graph: Graph,
  name: string,
  producers: ReadonlyMap<string, Node>,
): { readonly name: string; readonly factor: number } {
  const node = producers.get(name),
    [a, b] = node?.inputs ?? [];
  const factor = node?.op === 'Mul' && a && b ? graph.constants.get(b) : undefined;
  return factor?.data.length === 1 ? { name: a!, factor: Number(factor.data[0]) } : { name, factor: 1 };
}

function trace(
  graph: Graph,
  node: Node,
  traced: ReadonlyMap<string, Traced>,
  shape: string,
  producers: ReadonlyMap<string, Node>,
): Traced | undefined {
  const operands: Tensor[] = [];
  const numbers = (values: Float64Array): Tensor => tensor('float64', [values.length], values);
  let dy: string | undefined,
    linear = 0;
  for (const name of node.inputs) {
    const own = traced.get(name),
      constant = graph.constants.get(name);
    if (own) {
      operands.push(numbers(own.values));
      if (own.dy === undefined) continue;
      if (dy !== undefined && dy !== own.dy) return undefined;
      dy = own.dy;
      linear++;
    } else if (constant?.data.length === 1) {
      operands.push(numbers(points.map(() => Number(constant.data[0]))));
    } else {
      // dy itself, which is 1 here
      const mayBe = node.op === 'Mul' || (node.op === 'Div' && name === node.inputs[0] && name !== node.inputs[1]);
      if (dy !== undefined || !mayBe || graph.values.get(name)?.shape.join() !== shape) return undefined;
      const whole = withoutFactor(graph, name, producers);
      dy = whole.name;
      linear++;
      operands.push(numbers(points.map(() => whole.factor)));
    }
  }
  if (dy !== undefined && !isLinear(node, linear, traced)) return undefined;
  const [result] = evaluateNode(node, operands, { float64: true });
  return { dy, values: result!.data as Float64Array };
}

/** Whether the result is dy times something again. */
function isLinear(node: Node, linear: number, traced: ReadonlyMap<string, Traced>): boolean {
  if (node.op === 'Mul') return linear === 1;
  if (node.op === 'Add' || node.op === 'Sub') return linear === 2;
  if (node.op === 'Div') return linear === 1 && traced.get(node.inputs[1]!)?.dy === undefined;
  return node.op === 'Neg';
}

interface Context {
  readonly graph: Graph;
  readonly readers: ReadonlyMap<string, readonly Node[]>;
  readonly producers: ReadonlyMap<string, Node>;
  readonly position: ReadonlyMap<Node, number>;
}

/**
 * The graph with its activations as ops `Activation` (x) and `ActivationGrad` (dy, x) of the
 * engine.
 */
export function findActivations(graph: Graph): Graph {
  const readers = new Map<string, Node[]>(),
    position = new Map(graph.nodes.map((node, i) => [node, i]));
  for (const node of graph.nodes)
    for (const name of new Set(node.inputs)) readers.set(name, [...(readers.get(name) ?? []), node]);
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  /** What an op with a name of its own is applied to, without the factors before it. */
  const rootOf = (name: string): string => {
    const node = producers.get(name);
    const inner =
      node && (node.op === 'Mul' || node.op === 'Div' || node.op === 'Neg')
        ? node.inputs.filter((input) => graph.constants.get(input)?.data.length !== 1)
        : [];
    return inner.length === 1 && inner[0] !== '' ? rootOf(inner[0]!) : name;
  };
  /**
   * Values of the same shape from which a value is computed, nearest first: GELU's Tanh is of a
   * polynomial of x.
   */
  const before = (name: string): string[] => {
    const shape = graph.values.get(name)!.shape.join(),
      found = [name];
    for (let i = 0; i < found.length && found.length < mostBefore; i++) {
      const node = producers.get(found[i]!);
      if (!node || !elementwise.has(node.op)) continue;
      for (const input of node.inputs) {
        if (!found.includes(input) && !graph.constants.has(input) && graph.values.get(input)?.shape.join() === shape)
          found.push(input);
      }
    }
    return found;
  };
  const replaced = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (!telling.has(node.op)) continue;
    const shape = staticDims(graph.values.get(node.inputs[0]!)!.shape);
    if (!shape || sizeOf(shape) < large || graph.values.get(node.inputs[0]!)!.dtype !== 'float32') continue;
    const direct = node.inputs[0]!,
      root = rootOf(direct);
    for (const x of new Set([root, ...before(direct)])) {
      const found = follow({ graph, readers, producers, position }, x);
      for (const [before, after] of found) if (!replaced.has(before)) replaced.set(before, after);
      if (found.size > 0) break;
    }
  }
  if (replaced.size === 0) return graph;
  return prune({ ...graph, nodes: graph.nodes.map((node) => replaced.get(node) ?? node) });
}
