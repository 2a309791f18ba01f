import type { Layout } from '../library/dnnl.js';

/**
 * How a loop passes over a result and operands that are broadcast to it: calls, each of some rows,
 * each of some elements.
 */
export interface Sweep {
  /** Elements of a row. */
  readonly elements: number;
  readonly rows: number;
  /** Per operand: whether a row reads one element of it. */
  readonly isOne: readonly boolean[];
  /** Per operand: elements to move on from row to row. */
  readonly steps: readonly number[];
  /** Per call: the first element of the result. */
  readonly results: Int32Array;
  /** Per operand and call: its first element. */
  readonly operands: readonly Int32Array[];
}

/**
 * The sizes of a layout's axes in memory, and whether an operand of `shape` (aligned right) has
 * them.
 */
export function variesOver(order: NonNullable<Layout['order']>, rank: number, shape: readonly number[]): boolean[] {
  return order.map(({ axis }) => (shape[axis - (rank - shape.length)] ?? 1) !== 1);
}

/**
 * Finds rows: neighbouring axes that all operands have, or lack, are one. Operands lie densely in
 * the order of the axes that they have.
 */
export function planSweep(sizes: readonly number[], varies: readonly (readonly boolean[])[]): Sweep {
  const merged: { size: number; has: readonly boolean[] }[] = [];
  sizes.forEach((size, k) => {
    if (size === 1) return;
    const has = varies.map((list) => list[k]!),
      last = merged.at(-1);
    if (last && last.has.join() === has.join()) last.size *= size;
    else merged.push({ size, has });
  });
  const all = varies.map(() => true);
  const inner = merged.pop() ?? { size: 1, has: all },
    row = merged.pop() ?? { size: 1, has: all };
  const strideOver = (operand: number, groups: readonly { size: number; has: readonly boolean[] }[]): number =>
    groups.reduce((product, { size, has }) => (has[operand] ? product * size : product), 1);
  const calls = merged.reduce((product, { size }) => product * size, 1);
  const results = new Int32Array(calls),
    operands = varies.map(() => new Int32Array(calls));
  for (let call = 0; call < calls; call++) {
    results[call] = call * row.size * inner.size;
    operands.forEach((offsets, operand) => {
      let rest = call,
        stride = strideOver(operand, [row, inner]),
        offset = 0;
      for (const { size, has } of [...merged].reverse()) {
        if (has[operand]) {
          offset += (rest % size) * stride;
          stride *= size;
        }
        rest = Math.floor(rest / size);
      }
      offsets[call] = offset;
    });
  }
  return {
    elements: inner.size,
    rows: row.size,
    isOne: varies.map((_, i) => !inner.has[i]),
    steps: varies.map((_, i) => (row.has[i] ? strideOver(i, [inner]) : 0)),
    results,
    operands,
  };
}

/**
 * For every element of an operand, in the order of the axes that it has, its position in row-major
 * order; -1 in padding.
 */
export function gatherOf(order: NonNullable<Layout['order']>, rank: number, shape: readonly number[]): Int32Array {
  const varies = variesOver(order, rank, shape),
    axes = order.filter((_, k) => varies[k]);
  const out = new Int32Array(axes.reduce((product, { size }) => product * size, 1));
  const within = axes.map(({ axis }, k) =>
    axes.slice(k + 1).reduce((product, other) => (other.axis === axis ? product * other.size : product), 1),
  );
  const at = new Array<number>(shape.length),
    first = rank - shape.length;
  for (let i = 0; i < out.length; i++) {
    at.fill(0);
    let rest = i;
    for (let k = axes.length - 1; k >= 0; k--) {
      const { axis, size } = axes[k]!;
      at[axis - first] = at[axis - first]! + (rest % size) * within[k]!;
      rest = Math.floor(rest / size);
    }
    out[i] = at.some((position, axis) => position >= shape[axis]!)
      ? -1
      : at.reduce((sum, position, axis) => sum * shape[axis]! + position, 0);
  }
  return out;
}
