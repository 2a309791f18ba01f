import { activations, type Activation } from '../../../graph/activations.js';
import type { Graph, Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import { boundsOf } from '../lowerings/clips.js';
import { findPixels } from '../patterns/pixels.js';
import { functions } from './functions.js';

/**
 * Groups of elementwise nodes over one shape that become one loop: the update of a parameter with
 * its momentum and weight decay, running statistics, moving averages, activations and their
 * gradients, biases and gates that are broadcast.
 */
export interface Group {
  readonly nodes: readonly Node[];
}

export const binary: Readonly<Record<string, 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max'>> = {
  Add: 'add',
  Sub: 'sub',
  Mul: 'mul',
  Div: 'div',
  Min: 'min',
  Max: 'max',
};
export const unary: Readonly<Record<string, 'neg' | 'abs' | 'sqrt' | 'sign'>> = {
  Neg: 'neg',
  Abs: 'abs',
  Sqrt: 'sqrt',
  Sign: 'sign',
};
/** Activations by their op and by their gradient's, in loops where they are small: else the library has them. */
export const activationOf = (op: string): Activation | undefined => activations[op.replace(/Grad$/, '')];
const writtenOut = new Set(['Relu', 'Clip', 'ClipGrad', 'Reciprocal', 'Expand']);

/** Inputs that are computed with; bounds and shapes are constants. */
export const operandsOf = ({ op, inputs }: Node): readonly string[] =>
  op === 'Clip' || op === 'Expand' ? inputs.slice(0, 1) : inputs;

/** Elements from which the library's threads are worth more than one pass fewer. */
export const large = 8192;

/** Whether an operand of this shape is one number for all of the result. */
export const isSingle = (own: readonly number[], shape: readonly number[]): boolean =>
  sizeOf(own) === 1 && own.length <= shape.length;

/**
 * Whether a node may be in a group: float32, its operands of the result's shape or broadcast to it.
 */
function isGroupable(e: Emitter, node: Node): boolean {
  if (
    !(
      node.op in binary ||
      node.op in unary ||
      writtenOut.has(node.op) ||
      node.op in functions ||
      activationOf(node.op)
    ) ||
    node.outputs.length !== 1
  )
    return false;
  if (node.op in binary && node.inputs.length !== 2) return false;
  const { shape, dtype } = e.value(node.outputs[0]!);
  if (dtype !== 'float32' || sizeOf(shape) === 0) return false;
  if (activationOf(node.op) && sizeOf(shape) >= large) return false;
  if (node.op === 'Clip' && !boundsOf(e, node.outputs[0]!)) return false;
  return operandsOf(node).every((name) => {
    const { shape: own, dtype: type } = e.value(name);
    return (
      type === 'float32' &&
      own.length <= shape.length &&
      own.every((size, i) => size === 1 || size === shape[shape.length - own.length + i])
    );
  });
}

/** Operands that are neither of the result's shape nor one number. */
function broadcasts(e: Emitter, node: Node): string[] {
  const { shape } = e.value(node.outputs[0]!);
  return operandsOf(node).filter((name) => {
    const own = e.value(name).shape;
    return own.join() !== shape.join() && !isSingle(own, shape);
  });
}

/**
 * Finds groups, by the last node of each. A node joins the group of a node before it when nothing
 * outside the group reads the group's results before that node.
 */
export function findGroups(
  graph: Graph,
  e: Emitter,
): { readonly last: ReadonlyMap<Node, Group>; readonly members: ReadonlySet<Node> } {
  const position = new Map(graph.nodes.map((node, i) => [node, i]));
  const groupOf = new Map<Node, Set<Node>>(),
    fused = new Set([...e.fusions.values()].flatMap(({ relu, absorbed }) => [relu, ...absorbed]));
  for (const { add } of e.biases.values()) fused.add(add);
  for (const node of graph.nodes) for (const other of findPixels(e, node)?.nodes ?? []) fused.add(other);
  for (const node of graph.nodes) {
    if (fused.has(node) || !isGroupable(e, node)) continue;
    const shape = e.value(node.outputs[0]!).shape.join(),
      at = position.get(node)!;
    const joined = new Set<Node>([node]);
    for (const name of node.inputs) {
      const group = name === '' ? undefined : groupOf.get(e.producer(name) as Node);
      if (!group || e.value([...group][0]!.outputs[0]!).shape.join() !== shape) continue;
      const isOpen = [...group].every((member) =>
        e
          .readers(member.outputs[0]!)
          .every((reader) => group.has(reader) || joined.has(reader) || position.get(reader)! >= at),
      );
      if (isOpen) for (const member of group) joined.add(member);
    }
    // members of two groups may wait for each other's readers
    const isOpen = [...joined].every(
      (member) =>
        member === node ||
        e.readers(member.outputs[0]!).every((reader) => joined.has(reader) || position.get(reader)! > at),
    );
    const final = isOpen ? joined : new Set([node]);
    for (const member of final) groupOf.set(member, final);
  }
  const last = new Map<Node, Group>(),
    members = new Set<Node>();
  for (const set of new Set(groupOf.values())) {
    const nodes = [...set].sort((a, b) => position.get(a)! - position.get(b)!);
    if (!isWorthIt(e, nodes)) continue;
    last.set(nodes.at(-1)!, { nodes });
    for (const node of nodes) members.add(node);
  }
  return { last, members };
}

/** One pass instead of several; the library's passes use all threads, though. */
function isWorthIt(e: Emitter, nodes: readonly Node[]): boolean {
  // the library has no Erf, and our loops element by element are slow
  if (nodes.some(({ op }) => activationOf(op))) return true;
  if (nodes.some((node) => node.op === 'Erf' || node.op === 'Expand' || broadcasts(e, node).length > 0)) return true;
  if (nodes.length < 2) return false;
  if (sizeOf(e.value(nodes[0]!.outputs[0]!).shape) < large) return true;
  return nodes.length >= 3;
}
