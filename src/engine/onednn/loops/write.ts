import { activations } from '../../../graph/activations.js';
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import { elementsOf, type Layout } from '../library/dnnl.js';
import { boundsOf, clipGradOf } from '../lowerings/clips.js';
import { callPerChannel, commonLayout } from '../lowerings/elementwise.js';
import type { Place } from '../memory/places.js';
import { activationMath, functions, insideOf } from './functions.js';
import { activationOf, binary, isSingle, large, operandsOf, unary, type Group } from './groups.js';
import type { Element, LoopCode, LoopMath } from './instructions.js';
import { interpret } from './interpret.js';
import { createLoop } from './math.js';
import { createRun, isHalf } from './run.js';
import { gatherOf, planSweep, variesOver, type Sweep } from './sweep.js';

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

function writeLoop(e: Emitter, nodes: readonly Node[], operands: Operands): boolean {
  const { layout, shape, full, spread, single } = operands,
    { order } = layout,
    rank = shape.length;
  if (spread.length > 0 && !order) return false;
  const varies = order ? spread.map((name) => variesOver(order, rank, e.value(name).shape)) : [];
  const sizes = spread.length > 0 ? order!.map(({ size }) => size) : [elementsOf(layout)];
  const sweep = planSweep(sizes, [...full.map(() => sizes.map(() => true)), ...varies]);
  const { code, kept } = instructionsOf(e, nodes, operands, sweep);
  if (elementsOf(layout) !== sizeOf(shape)) {
    // operands have zeros in the padding of axes that they vary over
    const isPadded = (axis: number): boolean =>
      order!.reduce((product, other) => (other.axis === axis ? product * other.size : product), 1) !== shape[axis];
    const hasZeros = order ? varies.map((list) => order.every(({ axis }, k) => !isPadded(axis) || list[k])) : [];
    if (!keepsZeros(code, [...full.map(() => true), ...hasZeros], single.length)) return false;
  }
  const same = full.map((name) => e.as(name, layout)),
    numbers = single.map((name) => e.plain(name));
  const reads = [...same, ...spread.map((name, i) => inOrder(e, name, layout, varies[i]!, rank))],
    writes = kept.map((name) => e.result(name, layout));
  const halved = { inputs: reads.map(isHalf), results: writes.map(isHalf) },
    run = createRun(e.heap.memory, { code: { ...code, halved }, sweep, reads, writes });
  e.step({
    name: nodes.at(-1)!.name,
    kind: nodes.length > 2 ? 'loop of several ops' : `loop of ${nodes.map(({ op }) => op).join(' and ')}`,
    reads: [...reads, ...numbers],
    writes,
    inPlace: writes.flatMap((written) => same.map((read) => [written, read] as const)),
    run: () => run(numbers.map((place) => (place.data as Float32Array)[0]!)),
  });
  return true;
}

/** The loop of a group, and the names of the results that something outside of it reads. */
function instructionsOf(
  e: Emitter,
  nodes: readonly Node[],
  { full, spread, single }: Operands,
  sweep: Sweep,
): { readonly code: LoopCode; readonly kept: readonly string[] } {
  const loop = createLoop(),
    known = new Map<string, Element>(),
    inputs = [...full, ...spread];
  const load = (name: string): Element => {
    const input = inputs.indexOf(name),
      number = e.scalar(name);
    if (input >= 0) return loop.input(input, sweep.isOne[input]);
    return number === undefined ? loop.parameter(single.indexOf(name)) : loop.number(number);
  };
  const operand = (name: string): Element => {
    const made = known.get(name) ?? load(name);
    known.set(name, made);
    return made;
  };
  for (const node of nodes) known.set(node.outputs[0]!, write(e, node, loop, operand));
  const read = nodes.flatMap((node) => node.inputs);
  const kept = nodes
    .map((node) => node.outputs[0]!)
    .filter((name) => e.uses(name) > read.filter((input) => input === name).length);
  return { code: { instructions: loop.instructions, results: kept.map((name) => known.get(name)!.at) }, kept };
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

/** A node's result in the loop's arithmetic. */
function write(e: Emitter, node: Node, m: LoopMath, operand: (name: string) => Element): Element {
  const a = operand(node.inputs[0]!);
  if (node.op in binary) return m[binary[node.op]!](a, operand(node.inputs[1]!));
  if (node.op in unary) return m[unary[node.op]!](a);
  if (node.op === 'Expand') return a;
  const compute = functions[node.op];
  if (compute) return compute(m, a);
  const activation = activationOf(node.op);
  if (activation && node.op in activations) return activation.value(activationMath(m), a, node.attributes);
  if (activation) return activation.gradient(activationMath(m), a, operand(node.inputs[1]!), node.attributes);
  if (node.op === 'Reciprocal') return m.div(1, a);
  if (node.op === 'ClipGrad') {
    const { low, high } = clipGradOf(node);
    return m.mul(a, insideOf(m, operand(node.inputs[1]!), low, high));
  }
  const { low, high } = boundsOf(e, node.outputs[0]!)!;
  const above = low === -Infinity ? a : m.most(a, low);
  return high === Infinity ? above : m.least(above, high);
}
