import { sizeOf } from '../../../tensor.js';
import { fromFront, numberOf, numbersOf, type Lowering } from './lowering.js';

interface Axis { readonly size: number; readonly isReduced: boolean }

/** Neighbouring axes with the same fate are one. */
function merged(shape: readonly number[], axes: ReadonlySet<number>): Axis[] {
  const groups: Axis[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const isReduced = axes.has(axis), last = groups.at(-1);
    if (last?.isReduced === isReduced) groups[groups.length - 1] = { size: last.size * size, isReduced };
    else groups.push({ size, isReduced });
  });
  return groups;
}

/** Adds rows, four at a time so that the sums are read and written less often. */
function addRows(x: Float32Array, sums: Float64Array, rows: number, length: number, from: number, to: number): void {
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const a = from + row * length, b = a + length, c = b + length, d = c + length;
    for (let i = 0; i < length; i++) sums[to + i]! += (x[a + i]! + x[b + i]!) + (x[c + i]! + x[d + i]!);
  }
  for (; row < rows; row++) {
    for (let i = 0, at = from + row * length; i < length; i++) sums[to + i]! += x[at + i]!;
  }
}

/** Adds x into `sums` over the reduced axes. */
function addUp(x: Float32Array, sums: Float64Array, axes: readonly Axis[], depth: number, from: number, to: number): void {
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
  if (isReduced && depth === axes.length - 2) return addRows(x, sums, size, axes[depth + 1]!.size, from, to);
  let inner = 1, kept = 1;
  for (let i = depth + 1; i < axes.length; i++) {
    inner *= axes[i]!.size;
    if (!axes[i]!.isReduced) kept *= axes[i]!.size;
  }
  for (let i = 0; i < size; i++) addUp(x, sums, axes, depth + 1, from + i * inner, isReduced ? to : to + i * kept);
}

const sum = (isMean: boolean): Lowering => (e, node) => {
  const [x, given] = node.inputs as [string, string?], { shape, dtype } = e.value(x), y = node.outputs[0]!;
  const constant = given ? e.constant(given) : undefined;
  if (dtype !== 'float32' || (given && !constant)) return false;
  const listed = constant ? Array.from(constant.data as ArrayLike<number | bigint>, Number) : numbersOf(node, 'axes') ?? [];
  if (listed.length === 0 && numberOf(node, 'noop_with_empty_axes', 0) === 1) return false;
  const axes = new Set(listed.length === 0 ? shape.map((_, axis) => axis) : listed.map((axis) => fromFront(axis, shape.length)));
  const groups = merged(shape, axes), from = e.plain(x), to = e.result(y), sums = new Float64Array(sizeOf(e.value(y).shape));
  const factor = isMean ? sums.length / sizeOf(shape) : 1;
  e.step({
    name: node.name, kind: node.op, reads: [from], writes: [to],
    run: () => {
      sums.fill(0);
      addUp(from.data as Float32Array, sums, groups, 0, 0, 0);
      const out = to.data as Float32Array;
      for (let i = 0; i < out.length; i++) out[i] = sums[i]! * factor;
    },
  });
  return true;
};

/** Sums and means. */
export const reductions = { ReduceSum: sum(false), ReduceMean: sum(true) };
