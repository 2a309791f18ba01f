import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';

/** Below this size one slow transposition costs less than the nodes of several fast ones. */
const worthwhile = 4096;

/**
 * A transposition. onnxruntime moves numbers one by one where the last axis and others change places, and is ten
 * times as fast at matrices: so such a one becomes a few, each of the last axes with those before them, [.., m, n] to
 * [.., n, m].
 */
export function reorder(e: Emitter, x: Sized, perm: readonly number[]): Sized {
  if (perm.at(-1) === perm.length - 1 || sizeOf(x.shape) < worthwhile) return e.transpose(x, perm);
  const groups = together(perm.filter((axis) => x.shape[axis]! > 1));
  const sizes = groups.toSorted((a, b) => a[0]! - b[0]!).map((axes) => sizeOf(axes.map((axis) => x.shape[axis]!)));
  let order = sizes.map((_, i) => i),
    moved = x;
  const size = (axes: readonly number[]): number => sizeOf(axes.map((i) => sizes[i]!));
  for (const [from, to] of rotations(ranks(groups))) {
    const parts = [order.slice(0, from), order.slice(from, to), order.slice(to)] as const;
    moved = e.transpose(e.reshape(moved, parts.map(size)), [0, 2, 1]);
    order = [...parts[0], ...parts[2], ...parts[1]];
  }
  return e.reshape(
    moved,
    perm.map((axis) => x.shape[axis]!),
  );
}

/** The axes of a permutation, those that stay next to each other in one group. */
function together(perm: readonly number[]): number[][] {
  const groups: number[][] = [];
  for (const axis of perm) {
    const last = groups.at(-1);
    if (last?.at(-1) === axis - 1) last.push(axis);
    else groups.push([axis]);
  }
  return groups;
}

/** The place of each group before the permutation. */
const ranks = (groups: readonly (readonly number[])[]): number[] => {
  const firsts = groups.map(([first]) => first!).sort((a, b) => a - b);
  return groups.map(([first]) => firsts.indexOf(first!));
};

type Rotation = readonly [from: number, to: number];

/** The fewest rotations that make `wanted` of 0, 1, 2...: each exchanges the parts [from, to) and [to, end). */
function rotations(wanted: readonly number[]): readonly Rotation[] {
  const start = wanted.map((_, i) => i);
  const known = new Map<string, readonly Rotation[]>([[start.join(), []]]);
  for (const [key, path] of known) {
    if (key === wanted.join()) return path;
    const order = key.split(',').map(Number);
    for (let from = 0; from < order.length - 1; from++)
      for (let to = from + 1; to < order.length; to++) {
        const next = [...order.slice(0, from), ...order.slice(to), ...order.slice(from, to)].join();
        if (!known.has(next)) known.set(next, [...path, [from, to]]);
      }
  }
  throw new Error(`no permutation: ${wanted.join()}`);
}
