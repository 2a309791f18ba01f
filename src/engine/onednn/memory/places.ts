import { sizeOf, elementSize, type DataType, type TypedArray } from '../../../tensor.js';
import type { Block, Heap } from './heap.js';
import type { Handle, Layout } from '../library/dnnl.js';

/**
 * Bytes that one or several places share. The planner decides where they are, or that two storages
 * are one.
 */
export interface Storage {
  bytes: number;
  /**
   * `arena`: planned; `feed`: planned, filled before the first step; `block`: has a block of its
   * own (state, constants).
   */
  kind: 'arena' | 'feed' | 'block';
  block?: Block | undefined;
  /** The storage that this one was merged into. */
  into?: Storage;
  /** Steps of the first and the last use. */
  first: number;
  last: number;
  /** Position in the arena. */
  offset: number;
}

/** A tensor in one layout, somewhere in memory. */
export interface Place {
  readonly dims: readonly number[];
  readonly dtype: DataType;
  /** Absent for element types that the library does not compute with: row-major then. */
  readonly layout: Layout | undefined;
  readonly storage: Storage;
  /** Made when a program is bound, for places that the library uses. */
  memory: Handle | undefined;
  /** The elements, padding included. */
  data: TypedArray;
}

/** One call of the library, or one loop of ours. */
export interface Step {
  /** `node` of the graph and what is done for it: shown in profiles. */
  readonly name: string;
  readonly kind: string;
  readonly reads: readonly Place[];
  readonly writes: readonly Place[];
  /** Places that may lie where a read one lies, when that is read here for the last time. */
  readonly inPlace?: readonly (readonly [written: Place, read: Place])[] | undefined;
  run(): void;
}

export const createStorage = (bytes: number, kind: Storage['kind'] = 'arena', block?: Block): Storage => ({
  bytes,
  kind,
  first: Infinity,
  last: -1,
  offset: 0,
  block,
});

/** The storage that a place is in, after merging. */
export function rootOf(storage: Storage): Storage {
  let root = storage;
  while (root.into) root = root.into;
  return root;
}

export const bytesOf = (dtype: DataType, dims: readonly number[]): number => sizeOf(dims) * elementSize(dtype);

/** First and last use of every storage. */
function findIntervals(steps: readonly Step[]): void {
  steps.forEach(({ reads, writes }, index) => {
    for (const { storage } of [...reads, ...writes]) {
      const root = rootOf(storage);
      root.first = Math.min(root.first, root.kind === 'feed' ? -1 : index);
      root.last = Math.max(root.last, index);
    }
  });
}

/** A value that replaces an entry of the state after the run, both in the entry's layout. */
export interface Replacement {
  readonly entry: Place;
  readonly next: Place;
}

/**
 * Decides where every storage lies: the next state where the old one is, if that is no longer read;
 * results of elementwise steps where an operand was; the others in an arena, over each other when
 * they are not used at the same time. Returns the arena's size and the replacements that remain to
 * be copied at the end.
 */
export function plan(
  steps: readonly Step[],
  returned: readonly Place[],
  replacements: readonly Replacement[],
): { bytes: number; copies: Replacement[] } {
  findIntervals(steps);
  for (const place of [...returned, ...replacements.map(({ next }) => next)]) rootOf(place.storage).last = Infinity;
  const mayShare = (index: number, from: Storage, to: Storage): boolean =>
    steps[index]?.inPlace?.some(([written, read]) => rootOf(written.storage) === from && rootOf(read.storage) === to) ??
    false;
  const taken = new Set<Storage>(),
    copies: Replacement[] = [];
  for (const replacement of replacements) {
    const state = rootOf(replacement.entry.storage),
      next = rootOf(replacement.next.storage);
    if (state === next) continue;
    const isFree = state.last < next.first || (state.last === next.first && mayShare(next.first, next, state));
    if (next.kind === 'arena' && !taken.has(state) && isFree && next.bytes === state.bytes) {
      next.into = state;
      taken.add(state);
    } else {
      copies.push(replacement);
    }
  }
  steps.forEach(({ inPlace = [] }, index) => {
    for (const [written, read] of inPlace) {
      const result = rootOf(written.storage),
        operand = rootOf(read.storage);
      if (result === operand || result.kind !== 'arena' || operand.kind !== 'arena') continue;
      if (result.first !== index || operand.last !== index || result.bytes !== operand.bytes) continue;
      result.into = operand;
      operand.last = result.last;
    }
  });
  const storages = new Set<Storage>();
  for (const { reads, writes } of steps) for (const { storage } of [...reads, ...writes]) storages.add(rootOf(storage));
  for (const { storage } of returned) storages.add(rootOf(storage));
  return { bytes: arrange([...storages].filter(({ kind }) => kind !== 'block')), copies };
}

/** Largest first, each at the lowest position that is free during its use; returns the total. */
function arrange(storages: readonly Storage[]): number {
  const placed: Storage[] = [];
  let total = 0;
  for (const storage of [...storages].sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    const size = Math.ceil(storage.bytes / 64) * 64;
    const others = placed
      .filter((other) => other.first <= storage.last && storage.first <= other.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of others) {
      if (offset + size <= other.offset) break;
      offset = Math.max(offset, other.offset + Math.ceil(other.bytes / 64) * 64);
    }
    storage.offset = offset;
    total = Math.max(total, offset + size);
    placed.push(storage);
  }
  return total;
}

/** Where the bytes of a storage are now. */
export function viewOf(storage: Storage, arena: Uint8Array): Uint8Array {
  const root = rootOf(storage);
  return root.block
    ? root.block.view().subarray(0, storage.bytes)
    : arena.subarray(root.offset, root.offset + storage.bytes);
}

/** Position in the heap, for generated code; undefined when it is not there. */
export function offsetOf(storage: Storage, arena: Block): number | undefined {
  const root = rootOf(storage);
  if (root.block) return root.block.offset;
  return arena.offset === undefined ? undefined : arena.offset + root.offset;
}

export type { Heap };
