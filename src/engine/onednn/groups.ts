import type { Graph, Node } from '../../graph/graph.js';
import { sizeOf } from '../../tensor.js';
import type { Layout } from './dnnl.js';
import type { Emitter } from './emit.js';
import { boundsOf, commonLayout, maskOf } from './lowerings/elementwise.js';
import type { Place } from './places.js';
import { compileLoop, interpret, type Instruction, type LoopCode } from './wasm.js';

/**
 * Groups of elementwise nodes over one shape that become one loop: the update of a parameter with its momentum and weight decay, running
 * statistics, moving averages, gradients of activations.
 */
export interface Group {
  readonly nodes: readonly Node[];
}

const two: Readonly<Record<string, 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max'>> = { Add: 'add', Sub: 'sub', Mul: 'mul', Div: 'div', Min: 'min', Max: 'max' };
const one: Readonly<Record<string, 'neg' | 'abs' | 'sqrt' | 'sign'>> = { Neg: 'neg', Abs: 'abs', Sqrt: 'sqrt', Sign: 'sign' };
const others = new Set(['Relu', 'Clip', 'Reciprocal']);

/** Elements from which the library's threads are worth more than one pass fewer. */
const large = 8192;

/** Whether a node may be in a group: float32, its operands of the result's shape or one number. */
function isGroupable(e: Emitter, node: Node): boolean {
  if (!(node.op in two || node.op in one || others.has(node.op)) || node.outputs.length !== 1) return false;
  if (node.op in two && node.inputs.length !== 2) return false;
  const { shape, dtype } = e.value(node.outputs[0]!);
  if (dtype !== 'float32' || sizeOf(shape) === 0) return false;
  if (node.op === 'Clip' && !boundsOf(e, node.outputs[0]!)) return false;
  const operands = node.op === 'Clip' ? node.inputs.slice(0, 1) : node.inputs;
  return operands.every((name) => {
    const value = e.value(name);
    return value.dtype === 'float32' && (value.shape.join() === shape.join() || (sizeOf(value.shape) === 1 && value.shape.length <= shape.length));
  });
}

/**
 * Finds groups, by the last node of each. A node joins the group of a node before it when nothing outside the group reads the group's
 * results before that node.
 */
export function findGroups(graph: Graph, e: Emitter): { readonly last: ReadonlyMap<Node, Group>; readonly members: ReadonlySet<Node> } {
  const position = new Map(graph.nodes.map((node, i) => [node, i]));
  const groupOf = new Map<Node, Set<Node>>(), fused = new Set([...e.fusions.values()].flatMap(({ relu, absorbed }) => [relu, ...absorbed]));
  for (const node of graph.nodes) {
    if (fused.has(node) || !isGroupable(e, node)) continue;
    const shape = e.value(node.outputs[0]!).shape.join(), at = position.get(node)!;
    const joined = new Set<Node>([node]);
    for (const name of node.inputs) {
      const group = name === '' ? undefined : groupOf.get(e.producer(name) as Node);
      if (!group || e.value([...group][0]!.outputs[0]!).shape.join() !== shape) continue;
      const isOpen = [...group].every((member) => e.readers(member.outputs[0]!).every((reader) => group.has(reader) || joined.has(reader) || position.get(reader)! >= at));
      if (isOpen) for (const member of group) joined.add(member);
    }
    // members of two groups may wait for each other's readers
    const isOpen = [...joined].every((member) => member === node || e.readers(member.outputs[0]!).every((reader) => joined.has(reader) || position.get(reader)! > at));
    const final = isOpen ? joined : new Set([node]);
    for (const member of final) groupOf.set(member, final);
  }
  const last = new Map<Node, Group>(), members = new Set<Node>();
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
  if (nodes.length < 2) return false;
  if (sizeOf(e.value(nodes[0]!.outputs[0]!).shape) < large) return true;
  const masks = new Set(nodes.filter((node) => node.op === 'Sign').flatMap((node) => maskOf(e, node)?.nodes ?? []));
  return nodes.filter((node) => !masks.has(node)).length >= 3;
}

/** Writes a group as one loop; false when its layout has gaps. */
export function lowerGroup(e: Emitter, { nodes }: Group): boolean {
  const inside = new Set(nodes.map((node) => node.outputs[0]!)), shape = e.value(nodes[0]!.outputs[0]!).shape, count = sizeOf(shape);
  const full: string[] = [], single: string[] = [];
  for (const node of nodes) {
    for (const name of node.op === 'Clip' ? node.inputs.slice(0, 1) : node.inputs) {
      if (inside.has(name) || e.scalar(name) !== undefined) continue;
      const list = sizeOf(e.value(name).shape) === count && e.value(name).shape.join() === shape.join() ? full : single;
      if (!list.includes(name)) list.push(name);
    }
  }
  if (full.length === 0) return false;
  const layout: Layout | undefined = commonLayout(e, full);
  if (!layout) return false;
  const instructions: Instruction[] = [], at = new Map<string, number>();
  const push = (instruction: Instruction): number => instructions.push(instruction) - 1;
  const operand = (name: string): number => {
    let index = at.get(name);
    if (index === undefined) {
      const number = e.scalar(name);
      index = push(number !== undefined ? { op: 'number', value: number }
        : full.includes(name) ? { op: 'load', input: full.indexOf(name) } : { op: 'parameter', index: single.indexOf(name) });
      at.set(name, index);
    }
    return index;
  };
  for (const node of nodes) at.set(node.outputs[0]!, write(e, node, operand, push));
  const kept = nodes.map((node) => node.outputs[0]!).filter((name) => {
    const inner = nodes.reduce((sum, node) => sum + node.inputs.filter((input) => input === name).length, 0);
    return e.uses(name) > inner;
  });
  const code: LoopCode = { instructions, results: kept.map((name) => at.get(name)!) };
  if (layout.bytes !== 4 * count && !keepsZeros(code, full.length, single.length)) return false;
  const reads = full.map((name) => e.as(name, layout)), numbers = single.map((name) => e.plain(name));
  const writes = kept.map((name) => e.result(name, layout));
  const loop = compileLoop(e.heap.memory, code), tensors = [...reads, ...writes];
  const data = (place: Place): Float32Array => place.data as Float32Array;
  e.step({
    name: nodes.at(-1)!.name, kind: nodes.length > 2 ? 'loop of several ops' : `loop of ${nodes.map(({ op }) => op).join(' and ')}`, reads: [...reads, ...numbers], writes,
    inPlace: writes.flatMap((written) => reads.map((read) => [written, read] as const)),
    run: () => {
      const parameters = numbers.map((place) => data(place)[0]!), { buffer } = e.heap.memory;
      if (tensors.every((place) => place.data.buffer === buffer)) loop(layout.bytes / 4, tensors.map(({ data: { byteOffset } }) => byteOffset), parameters);
      else interpret(code, reads.map(data), writes.map(data), parameters);
    },
  });
  return true;
}

/** The library wants zeros in the padding of a layout: whether they stay. */
function keepsZeros(code: LoopCode, inputs: number, parameters: number): boolean {
  const results = code.results.map(() => new Float32Array(1)), zeros = Array.from({ length: inputs }, () => new Float32Array(1));
  interpret(code, zeros, results, Array.from({ length: parameters }, (_, i) => 0.3 + 0.7 * i));
  return results.every(([value]) => value === 0);
}

function write(e: Emitter, node: Node, operand: (name: string) => number, push: (instruction: Instruction) => number): number {
  const a = operand(node.inputs[0]!);
  const number = (value: number): number => push({ op: 'number', value });
  if (node.op in two) return push({ op: two[node.op]!, a, b: operand(node.inputs[1]!) });
  if (node.op in one) return push({ op: one[node.op]!, a });
  if (node.op === 'Reciprocal') return push({ op: 'div', a: number(1), b: a });
  const { low, high } = boundsOf(e, node.outputs[0]!)!;
  const above = low === -Infinity ? a : push({ op: 'max', a, b: number(low) });
  return high === Infinity ? above : push({ op: 'min', a: above, b: number(high) });
}
