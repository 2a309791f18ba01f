import { sizeOf, type Tensor } from '../../tensor.js';
import type { GraphBuilder } from '../builder.js';
import type { Node, Value } from '../graph.js';
import { inferOutputs } from '../inference.js';

/**
 * How much of a graph may be computed while it is read: a file of some hundred bytes can ask for any
 * amount (a Pad, a Concat of a value with itself thirty times, a product of two large constants).
 * What is beyond is left as a computation.
 */
interface Budget {
  /** Elements of constants that may still be made. */
  elements: number;
  /** Multiplications or copies that may still be done. */
  work: number;
  /** Names of constants that were made by folding, or counted as being there. */
  readonly known: Set<string>;
}

/** An output larger than this, in elements, that the inputs together are not, is not made. */
const largest = 2 ** 22;
/** What any graph may take, and in addition a network for each of its stored numbers. */
const start = { elements: 2 ** 23, work: 2 ** 27 };
const perStored = { elements: 8, work: 32 };

const budgets = new WeakMap<GraphBuilder, Budget>();

function budgetOf(builder: GraphBuilder): Budget {
  let budget = budgets.get(builder);
  if (budget === undefined) budgets.set(builder, (budget = { ...start, known: new Set() }));
  return budget;
}

/** A constant that was made by folding gives no new budget. */
export const noteFolded = ({ name }: Value, builder: GraphBuilder): void => void budgetOf(builder).known.add(name);

/** Whether a node of which all inputs are constants is within the budget, of which it then takes its part. */
export function isAffordable(node: Node, inputs: readonly (Value | undefined)[], builder: GraphBuilder): boolean {
  const budget = budgetOf(builder);
  const read = new Map(inputs.flatMap((value) => (value ? [[value.name, builder.constantOf(value)!] as const] : [])));
  for (const [name, { data }] of read) {
    if (budget.known.has(name)) continue;
    budget.known.add(name);
    budget.elements += perStored.elements * data.length;
    budget.work += perStored.work * data.length;
  }
  const taken = [...read.values()].reduce((sum, { data }) => sum + data.length, 0);
  const tensors = inputs.map((value) => builder.constantOf(value));
  const made = elementsOf(node, inputs, tensors, builder) ?? 8 * taken;
  const work = taken + made * factorOf(node, tensors);
  const fits = made <= Math.max(largest, taken) && made <= budget.elements && work <= budget.work;
  if (fits) {
    budget.elements -= made;
    budget.work -= work;
  }
  return fits;
}

/** Elements of all outputs; undefined where they follow from the numbers, and are no more than a few for each. */
function elementsOf(
  node: Node,
  inputs: readonly (Value | undefined)[],
  tensors: readonly (Tensor | undefined)[],
  builder: GraphBuilder,
): number | undefined {
  if (node.op === 'Range') {
    const [first, limit, delta] = tensors.map((t) => Number(t?.data[0]));
    return Math.max(0, Math.ceil((limit! - first!) / delta!));
  }
  const described = { op: node.op, domain: node.domain, name: node.name, attributes: node.attributes };
  const outputs = inferOutputs(
    { ...described, outputCount: node.outputs.length },
    inputs,
    (index) => tensors[index],
    (index) => builder.integersOf(inputs[index]),
  );
  const shapes = outputs.map(({ shape }) => shape);
  return shapes.flat().every((dim) => typeof dim === 'number')
    ? shapes.reduce((sum, shape) => sum + sizeOf(shape as readonly number[]), 0)
    : undefined;
}

/** How many numbers an output's element is computed from, at most. */
function factorOf({ op, attributes }: Node, [x, w]: readonly (Tensor | undefined)[]): number {
  if (op === 'MatMul' || op === 'Gemm') return Math.max(1, ...(x?.dims.slice(-2) ?? []));
  if (op.startsWith('Conv'))
    return Math.max(1, (w?.data.length ?? 0) / Math.max(1, Math.min(...(w?.dims.slice(0, 2) ?? [1]))));
  if (op === 'Einsum') return Math.max(1, x?.data.length ?? 0, w?.data.length ?? 0);
  const kernel = attributes.kernel_shape;
  return Array.isArray(kernel) ? Math.max(1, sizeOf(kernel as readonly number[])) : 16;
}
