import type { DnnlType, Layout } from './dnnl.js';

/**
 * Layouts as both versions of the library describe them: strides of the axes, and blocks of some
 * axes innermost.
 */

interface Described {
  readonly dims: readonly number[];
  readonly type: DnnlType;
  readonly bytes: number;
  readonly raw: Uint8Array;
}

export interface Blocked extends Described {
  /** Sizes with padding. */
  readonly padded: readonly number[];
  /** Of the outer part of each axis, elements. */
  readonly strides: readonly number[];
  /** Sizes of the blocks, the innermost last, and the axis of each. */
  readonly blocks: readonly number[];
  readonly axes: readonly number[];
  /** Elements before the first. */
  readonly offset: number;
  /** What else the library says of the data; 0 is nothing. */
  readonly extra: number;
}

/** A layout that is not described by strides and blocks, told from others by `identity`. */
export const opaqueLayout = ({ dims, type, bytes, raw }: Described, identity: string): Layout => ({
  dims,
  type,
  bytes,
  raw,
  isRowMajor: false,
  isPlain: false,
  key: `${type}[${dims.join()}]${identity}`,
});

/** A layout by strides and blocks. */
export function blockedLayout({ dims, type, bytes, raw, padded, offset, extra, ...described }: Blocked): Layout {
  const rank = dims.length,
    strides = [...described.strides];
  let { blocks, axes } = described;
  const isPadded = padded.some((size, i) => size !== dims[i]);
  const last = dims.findLastIndex((size) => size !== 1);
  // blocks of the last axis, one after the other, are no blocks
  if (blocks.length === 1 && !isPadded && axes[0] === last && strides[last] === blocks[0]) {
    strides[last] = 1;
    blocks = [];
    axes = [];
  }
  const isSimple = offset === 0 && extra === 0;
  let dense = 1;
  let isRowMajor = !isPadded && blocks.length === 0 && isSimple;
  for (let i = rank - 1; i >= 0; i--) {
    if (dims[i] !== 1 && strides[i] !== dense) isRowMajor = false;
    dense *= dims[i]!;
  }
  const shown = isRowMajor
    ? 'plain'
    : JSON.stringify([strides.map((stride, i) => (padded[i] === 1 ? 0 : stride)), blocks, axes, padded, offset, extra]);
  return {
    dims,
    type,
    bytes,
    raw,
    isRowMajor,
    isPlain: isRowMajor && type !== 'bf16',
    key: `${type}[${dims.join()}]${shown}`,
    order: isSimple ? orderOf(padded, strides, blocks, axes) : undefined,
  };
}

/** The axes of a blocked layout from the outermost to the innermost. */
function orderOf(
  padded: readonly number[],
  strides: readonly number[],
  blocks: readonly number[],
  axes: readonly number[],
): Layout['order'] {
  const inner = blocks.map((size, i) => ({ axis: axes[i]!, size }));
  const outer = padded
    .map((size, axis) => ({
      axis,
      size: inner.reduce((rest, block) => (block.axis === axis ? rest / block.size : rest), size),
      stride: strides[axis]!,
    }))
    .filter(({ size }) => size !== 1)
    .sort((a, b) => b.stride - a.stride);
  let dense = inner.reduce((product, { size }) => product * size, 1);
  for (const { size, stride } of [...outer].reverse()) {
    if (stride !== dense) return undefined;
    dense *= size;
  }
  return [...outer.map(({ axis, size }) => ({ axis, size })), ...inner];
}

/** Strides of an array without gaps, the last axis innermost. */
export function rowMajor(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  return strides;
}

/** Numbers by axis as the library reads them: always twelve. */
export function sizes(list: readonly number[]): BigInt64Array {
  const out = new BigInt64Array(12);
  list.forEach((value, i) => (out[i] = BigInt(value)));
  return out;
}
