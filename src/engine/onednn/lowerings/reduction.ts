import { fromFront, listOf, numberOf } from '../../../graph/attributes.js';
import type { Node } from '../../../graph/graph.js';
import { numbersOf, sizeOf } from '../../../tensor.js';
import { argument, eltwise } from '../library/dnnl.js';
import type { Emitter, Facts } from '../emitter.js';
import { meanOverPixels, sumInRows, sumRows } from './sums.js';
import { hasConstantRest, lowering, type Lowering, type Lowerings } from './lowering.js';

interface Axis {
  readonly size: number;
  readonly isReduced: boolean;
}

/** Neighbouring axes with the same fate are one. */
function merged(shape: readonly number[], axes: ReadonlySet<number>): Axis[] {
  const groups: Axis[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const isReduced = axes.has(axis),
      last = groups.at(-1);
    if (last?.isReduced === isReduced) groups[groups.length - 1] = { size: last.size * size, isReduced };
    else groups.push({ size, isReduced });
  });
  return groups;
}

/** What a reduction reads and writes: made once per run. */
interface Summation {
  readonly x: Float32Array;
  readonly sums: Float64Array;
  readonly axes: readonly Axis[];
}

/**
 * Adds the rows of the last two axes, the first of which is reduced, four at a time so that the sums
 * are read and written less often.
 */
function addRows({ x, sums, axes }: Summation, from: number, to: number): void {
  const rows = axes.at(-2)!.size,
    length = axes.at(-1)!.size;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const a = from + row * length,
      b = a + length,
      c = b + length,
      d = c + length;
    for (let i = 0; i < length; i++) sums[to + i]! += x[a + i]! + x[b + i]! + (x[c + i]! + x[d + i]!);
  }
  for (; row < rows; row++) {
    for (let i = 0, at = from + row * length; i < length; i++) sums[to + i]! += x[at + i]!;
  }
}

/** Adds x into `sums` over the reduced axes from `depth` on; `from` and `to` are places in x and sums. */
function addUp(summation: Summation, depth: number, from: number, to: number): void {
  const { x, sums, axes } = summation;
  const axis = axes[depth];
  if (!axis) {
    sums[to]! += x[from]!;
    return;
  }
  const { size, isReduced } = axis;
  if (depth === axes.length - 1) {
    if (isReduced) {
      let sum = 0;
      for (let i = from; i < from + size; i++) sum += x[i]!;
      sums[to]! += sum;
    } else {
      for (let i = 0; i < size; i++) sums[to + i]! += x[from + i]!;
    }
    return;
  }
  if (isReduced && depth === axes.length - 2) return addRows(summation, from, to);
  let inner = 1,
    kept = 1;
  for (let i = depth + 1; i < axes.length; i++) {
    inner *= axes[i]!.size;
    if (!axes[i]!.isReduced) kept *= axes[i]!.size;
  }
  for (let i = 0; i < size; i++) addUp(summation, depth + 1, from + i * inner, isReduced ? to : to + i * kept);
}

/** Elements from which a call of the library pays. */
const large = 8192;

/** Over all of the spatial axes: the library's mean of a whole window, in whatever layout x has. */
function pooled(e: Emitter, node: Node, x: string, isMean: boolean): boolean {
  const { shape } = e.value(x),
    layout = e.layoutOf(x) ?? e.held(x).layout,
    y = node.outputs[0]!;
  if (layout?.order?.at(-1)?.axis !== 1) return false; // channels innermost: what the library pools fast
  const kernel = shape.slice(2),
    target = [...shape.slice(0, 2), ...kernel.map(() => 1)],
    operation = meanOverPixels(e, layout);
  if (!operation) return false;
  const output = operation.layout(argument.output),
    keeps = e.value(y).shape.length === shape.length;
  const scale = isMean ? undefined : e.dnnl.eltwise(eltwise.linear, output, sizeOf(kernel), 0);
  const mean = isMean && keeps ? e.result(y, output) : e.scratch(output);
  e.call(operation, {
    name: node.name,
    kind: `${node.op} by pooling`,
    reads: [[argument.source, e.as(x, layout)]],
    writes: [[argument.output, mean]],
  });
  let last = mean;
  if (scale) {
    last = keeps ? e.result(y, output) : e.scratch(output);
    e.call(scale, {
      name: node.name,
      kind: 'means to sums',
      reads: [[argument.source, mean]],
      writes: [[argument.output, last]],
      inPlace: [[last, mean]],
    });
  }
  if (!keeps) e.share(y, output.isRowMajor ? last : e.reorder(last, e.dnnl.plain(target), node.name));
  return true;
}

/**
 * Over all axes but the channels, the gradient of a bias: means over the pixels of each image,
 * summed over the images.
 */
function perChannel(e: Emitter, node: Node, x: string, isMean: boolean): boolean {
  const { shape } = e.value(x),
    [images, channels] = shape as [number, number],
    kernel = shape.slice(2);
  const layout = e.layoutOf(x) ?? e.held(x).layout;
  if (layout?.order?.at(-1)?.axis !== 1) return false;
  const operation = meanOverPixels(e, layout);
  if (!operation) return false;
  const means = e.scratch(operation.layout(argument.output)),
    plain = e.dnnl.plain([images, channels, ...kernel.map(() => 1)]);
  e.call(operation, {
    name: node.name,
    kind: `${node.op} by pooling`,
    reads: [[argument.source, e.as(x, layout)]],
    writes: [[argument.output, means]],
  });
  const rows = means.layout!.key === plain.key ? means : e.reorder(means, plain, node.name);
  e.share(node.outputs[0]!, sumRows(e, rows, images, node.name, isMean ? 1 / images : sizeOf(kernel)));
  return true;
}

/** Rows that lie one after the other, or each by itself: a product with a vector of ones. */
function multiplied(e: Emitter, node: Node, x: string, groups: readonly Axis[], factor: number): boolean {
  const [outer, inner] = groups;
  if (groups.length !== 2 || !outer || !inner) return false;
  const from = e.rowMajor(x),
    make = outer.isReduced ? sumRows : sumInRows;
  e.share(node.outputs[0]!, make(e, from, outer.size, node.name, factor));
  return true;
}

const sum =
  (isMean: boolean): Lowering['write'] =>
  (e, node) => {
    const [x] = node.inputs as [string],
      { shape } = e.value(x),
      y = node.outputs[0]!,
      listed = axesOf(e, node);
    const axes = new Set(
      listed.length === 0 ? shape.map((_, axis) => axis) : listed.map((axis) => fromFront(axis, shape.length)),
    );
    const isSpatial = shape.length > 2 && axes.size === shape.length - 2 && !axes.has(0) && !axes.has(1),
      groups = merged(shape, axes);
    if (sizeOf(shape) >= large) {
      const isAllButChannels = shape.length > 2 && axes.size === shape.length - 1 && !axes.has(1);
      if (isAllButChannels && perChannel(e, node, x, isMean)) return true;
      if (isSpatial && pooled(e, node, x, isMean)) return true;
      if (
        multiplied(
          e,
          node,
          x,
          groups,
          isMean ? groups.reduce((product, { size, isReduced }) => (isReduced ? product / size : product), 1) : 1,
        )
      )
        return true;
    }
    const from = e.plain(x),
      to = e.result(y),
      sums = new Float64Array(sizeOf(e.value(y).shape));
    const factor = isMean ? sums.length / sizeOf(shape) : 1;
    e.step({
      name: node.name,
      kind: node.op,
      reads: [from],
      writes: [to],
      run: () => {
        sums.fill(0);
        addUp({ x: from.data as Float32Array, sums, axes: groups }, 0, 0, 0);
        const out = to.data as Float32Array;
        for (let i = 0; i < out.length; i++) out[i] = sums[i]! * factor;
      },
    });
    return true;
  };

/** The axes that are listed; none are all. */
function axesOf(facts: Facts, node: Node): readonly number[] {
  const constant = node.inputs[1] ? facts.constant(node.inputs[1]) : undefined;
  return constant ? numbersOf(constant) : (listOf(node.attributes, 'axes') ?? []);
}

const applies: Lowering['applies'] = (facts, node) =>
  facts.value(node.inputs[0]!).dtype === 'float32' &&
  hasConstantRest(facts, node) &&
  (axesOf(facts, node).length > 0 || numberOf(node.attributes, 'noop_with_empty_axes', 0) !== 1);

/** Sums and means. */
export const reductions: Lowerings = {
  ReduceSum: lowering(sum(false), applies),
  ReduceMean: lowering(sum(true), applies),
};
