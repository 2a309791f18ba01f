import type { Graph, Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import { elementsOf, type Layout } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';
import { functions } from './functions.js';
import { boundsOf, callPerChannel, commonLayout, maskOf } from '../lowerings/elementwise.js';
import type { Place } from '../memory/places.js';
import { findPixels } from '../patterns/pixels.js';
import { gatherOf, planSweep, variesOver } from './sweep.js';
import { compileLoop, inFloat32, interpret, toBfloat16, type Instruction, type LoopCode } from './wasm.js';

/**
 * Groups of elementwise nodes over one shape that become one loop: the update of a parameter with
 * its momentum and weight decay, running statistics, moving averages, activations and their
 * gradients, biases and gates that are broadcast.
 */
export interface Group {
  readonly nodes: readonly Node[];
}

const two: Readonly<Record<string, 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max'>> = {
  Add: 'add',
  Sub: 'sub',
  Mul: 'mul',
  Div: 'div',
  Min: 'min',
  Max: 'max',
};
const one: Readonly<Record<string, 'neg' | 'abs' | 'sqrt' | 'sign'>> = {
  Neg: 'neg',
  Abs: 'abs',
  Sqrt: 'sqrt',
  Sign: 'sign',
};
const others = new Set(['Relu', 'Clip', 'Reciprocal', 'Expand']);

/** Inputs that are computed with; bounds and shapes are constants. */
const operandsOf = ({ op, inputs }: Node): readonly string[] =>
  op === 'Clip' || op === 'Expand' ? inputs.slice(0, 1) : inputs;

/** Elements from which the library's threads are worth more than one pass fewer. */
const large = 8192;

/** Whether an operand of this shape is one number for all of the result. */
const isSingle = (own: readonly number[], shape: readonly number[]): boolean =>
  sizeOf(own) === 1 && own.length <= shape.length;

/**
 * Whether a node may be in a group: float32, its operands of the result's shape or broadcast to it.
 */
function isGroupable(e: Emitter, node: Node): boolean {
  if (!(node.op in two || node.op in one || others.has(node.op) || node.op in functions) || node.outputs.length !== 1)
    return false;
  if (node.op in two && node.inputs.length !== 2) return false;
  const { shape, dtype } = e.value(node.outputs[0]!);
  if (dtype !== 'float32' || sizeOf(shape) === 0) return false;
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
  if (nodes.some((node) => node.op === 'Erf' || node.op === 'Expand' || broadcasts(e, node).length > 0)) return true;
  if (nodes.length < 2) return false;
  if (sizeOf(e.value(nodes[0]!.outputs[0]!).shape) < large) return true;
  const masks = new Set(nodes.filter((node) => node.op === 'Sign').flatMap((node) => maskOf(e, node)?.nodes ?? []));
  return nodes.filter((node) => !masks.has(node)).length >= 3;
}

/** Writes a group as one loop; false when its layout has gaps. */
export function lowerGroup(e: Emitter, { nodes }: Group): boolean {
  if (nodes.length === 1 && callPerChannel(e, nodes[0]!)) return true;
  const inside = new Set(nodes.map((node) => node.outputs[0]!)),
    shape = e.value(nodes[0]!.outputs[0]!).shape,
    count = sizeOf(shape);
  const full: string[] = [],
    spread: string[] = [],
    single: string[] = [];
  for (const node of nodes) {
    for (const name of operandsOf(node)) {
      const own = e.value(name).shape;
      if (inside.has(name) || (e.scalar(name) !== undefined && isSingle(own, shape))) continue;
      const list = own.join() === shape.join() ? full : isSingle(own, shape) ? single : spread;
      if (!list.includes(name)) list.push(name);
    }
  }
  const common = full.length > 0 ? commonLayout(e, full) : undefined;
  if (full.length > 0 && !common) return false;
  const plain = e.dnnl.plain(shape.length === 0 ? [1] : shape);
  return [common, ...(count < large || common === undefined ? [plain] : [])].some(
    (layout) => layout && writeLoop(e, nodes, { layout, shape, full, spread, single }),
  );
}

interface Operands {
  readonly layout: Layout;
  readonly shape: readonly number[];
  /** Of the result's shape, broadcast to it, and one number. */
  readonly full: readonly string[];
  readonly spread: readonly string[];
  readonly single: readonly string[];
}

const isHalf = ({ layout }: Place): boolean => layout?.type === 'bf16';

function writeLoop(e: Emitter, nodes: readonly Node[], { layout, shape, full, spread, single }: Operands): boolean {
  const { order } = layout,
    rank = shape.length,
    count = sizeOf(shape);
  if (spread.length > 0 && !order) return false;
  const varies = order ? spread.map((name) => variesOver(order, rank, e.value(name).shape)) : [];
  const sizes = spread.length > 0 ? order!.map(({ size }) => size) : [elementsOf(layout)];
  const sweep = planSweep(sizes, [...full.map(() => sizes.map(() => true)), ...varies]),
    inputs = [...full, ...spread];
  const instructions: Instruction[] = [],
    at = new Map<string, number>();
  const constants = new Map<number, number>();
  const push = (instruction: Instruction): number => {
    if (instruction.op !== 'number') return instructions.push(instruction) - 1;
    const known = constants.get(instruction.value) ?? instructions.push(instruction) - 1;
    constants.set(instruction.value, known);
    return known;
  };
  const operand = (name: string): number => {
    let index = at.get(name);
    if (index === undefined) {
      const number = e.scalar(name),
        input = inputs.indexOf(name);
      index =
        input >= 0
          ? push({ op: sweep.isOne[input] ? 'one' : 'load', input })
          : push(
              number !== undefined ? { op: 'number', value: number } : { op: 'parameter', index: single.indexOf(name) },
            );
      at.set(name, index);
    }
    return index;
  };
  for (const node of nodes) at.set(node.outputs[0]!, write(e, node, operand, push));
  const kept = nodes
    .map((node) => node.outputs[0]!)
    .filter((name) => {
      const inner = nodes.reduce((sum, node) => sum + node.inputs.filter((input) => input === name).length, 0);
      return e.uses(name) > inner;
    });
  const halved: LoopCode['halved'] = {
    inputs: inputs.map(() => false),
    results: kept.map(() => layout.type === 'bf16'),
  };
  const code: LoopCode = { instructions, results: kept.map((name) => at.get(name)!), halved };
  if (elementsOf(layout) !== count) {
    // operands have zeros in the padding of axes that they vary over
    const isPadded = (axis: number): boolean =>
      order!.reduce((product, other) => (other.axis === axis ? product * other.size : product), 1) !== shape[axis];
    const hasZeros = order ? varies.map((list) => order.every(({ axis }, k) => !isPadded(axis) || list[k])) : [];
    if (!keepsZeros(code, [...full.map(() => true), ...hasZeros], single.length)) return false;
  }
  const reads = full.map((name) => e.as(name, layout)),
    numbers = single.map((name) => e.plain(name));
  const others = spread.map((name, i) => inOrder(e, name, layout, varies[i]!, rank));
  const writes = kept.map((name) => e.result(name, layout));
  const operands = [...reads, ...others],
    tensors = [...operands, ...writes];
  operands.forEach((place, i) => (halved.inputs[i] = isHalf(place)));
  const loop = compileLoop(e.heap.memory, code),
    widths = tensors.map((place) => (isHalf(place) ? 2 : 4));
  const data = (place: Place): Float32Array => place.data as Float32Array;
  const { elements, rows, steps, results } = sweep,
    byteSteps = steps.map((step, i) => widths[i]! * step),
    pointers = new Array<number>(tensors.length);
  const call = (parameters: readonly number[]): void => {
    for (let i = 0; i < results.length; i++) {
      for (let k = 0; k < tensors.length; k++) {
        pointers[k] =
          tensors[k]!.data.byteOffset + widths[k]! * (k < operands.length ? sweep.operands[k]! : results)[i]!;
      }
      loop(rows, elements, pointers, byteSteps, parameters);
    }
  };
  const callPlainly = (parameters: readonly number[]): void => {
    for (let i = 0; i < results.length; i++) {
      for (let row = 0; row < rows; row++) {
        const first = results[i]! + row * elements,
          made = writes.map(() => new Float32Array(elements));
        interpret(
          code,
          operands.map((place, k) => {
            const start = sweep.operands[k]![i]! + row * steps[k]!;
            return inFloat32(place.data.subarray(start, start + elements) as Float32Array | Uint16Array);
          }),
          made,
          parameters,
        );
        writes.forEach((place, k) =>
          (place.data.subarray(first, first + elements) as Float32Array | Uint16Array).set(
            isHalf(place) ? toBfloat16(made[k]!) : made[k]!,
          ),
        );
      }
    }
  };
  const ops = nodes.map(({ op }) => op);
  e.step({
    name: nodes.at(-1)!.name,
    kind: nodes.length > 2 ? 'loop of several ops' : `loop of ${ops.join(' and ')}`,
    reads: [...operands, ...numbers],
    writes,
    inPlace: writes.flatMap((written) => reads.map((read) => [written, read] as const)),
    run: () => {
      const parameters = numbers.map((place) => data(place)[0]!),
        { buffer } = e.heap.memory;
      if (tensors.every((place) => place.data.buffer === buffer)) call(parameters);
      else callPlainly(parameters);
    },
  });
  return true;
}

/**
 * A broadcast operand with its elements in the order in which a result of this layout needs them.
 */
function inOrder(e: Emitter, name: string, layout: Layout, varies: readonly boolean[], rank: number): Place {
  const { shape } = e.value(name),
    order = layout.order!;
  const wanted = order.filter(({ size }, k) => varies[k] && size !== 1),
    has = e.layoutOf(name)?.order,
    first = rank - shape.length;
  const own = has?.filter(({ size }) => size !== 1);
  if (
    own?.length === wanted.length &&
    own.every(({ axis, size }, k) => axis + first === wanted[k]!.axis && size === wanted[k]!.size)
  )
    return e.held(name);
  if (layout.isRowMajor) return e.plain(name);
  const from = e.plain(name),
    indices = gatherOf(order, rank, shape),
    to = e.scratch(e.dnnl.plain([indices.length]));
  e.step({
    name: `order ${name}`,
    kind: 'order of broadcast operands',
    reads: [from],
    writes: [to],
    run: () => {
      const source = from.data as Float32Array,
        target = to.data as Float32Array;
      for (let i = 0; i < indices.length; i++) target[i] = indices[i]! < 0 ? 0 : source[indices[i]!]!;
    },
  });
  return to;
}

/** The library wants zeros in the padding of a layout: whether they stay. */
function keepsZeros(code: LoopCode, isZero: readonly boolean[], parameters: number): boolean {
  const results = code.results.map(() => new Float32Array(1)),
    inputs = isZero.map((zero) => Float32Array.of(zero ? 0 : 0.7));
  interpret(
    code,
    inputs,
    results,
    Array.from({ length: parameters }, (_, i) => 0.3 + 0.7 * i),
  );
  return results.every(([value]) => value === 0);
}

function write(
  e: Emitter,
  node: Node,
  operand: (name: string) => number,
  push: (instruction: Instruction) => number,
): number {
  const a = operand(node.inputs[0]!);
  const number = (value: number): number => push({ op: 'number', value });
  if (node.op in two) return push({ op: two[node.op]!, a, b: operand(node.inputs[1]!) });
  if (node.op in one) return push({ op: one[node.op]!, a });
  if (node.op === 'Expand') return a;
  const compute = functions[node.op];
  if (compute) return compute(push, a);
  if (node.op === 'Reciprocal') return push({ op: 'div', a: number(1), b: a });
  const { low, high } = boundsOf(e, node.outputs[0]!)!;
  const above = low === -Infinity ? a : push({ op: 'most', a, b: number(low) });
  return high === Infinity ? above : push({ op: 'least', a: above, b: number(high) });
}
