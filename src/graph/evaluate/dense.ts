import { invariant } from '../../errors.js';
import { arrayType, sizeOf, toInt64, type DataType, type Tensor } from '../../tensor.js';

/**
 * A tensor as kernels see it: every type as JavaScript numbers. 64-bit integers are exact up to
 * 2^53.
 */
export interface Dense {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** An array of `dims`, zero unless `data` is given. */
export function dense(
  dtype: DataType,
  dims: readonly number[],
  data: ArrayLike<number> = new Float64Array(sizeOf(dims)),
): Dense {
  invariant(sizeOf(dims) === data.length, `dense: ${data.length} elements do not fill [${dims.join(', ')}]`);
  return { dtype, dims, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

export const isFloat = (dtype: DataType): boolean =>
  dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16';

const scratch = new DataView(new ArrayBuffer(4));

const bfloat16ToNumber = (bits: number): number => {
  scratch.setUint32(0, (bits << 16) >>> 0);
  return scratch.getFloat32(0);
};

function numberToBfloat16(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff; // round to nearest, ties to even
}

/** The number that 16 bits of IEEE half precision stand for. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31,
    fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Rounds to the nearest half-precision number (ties to even); returns its bits. */
export function numberToFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const units = roundHalfEven(magnitude / 2 ** (exponent - 10)); // in steps of the last place
  return sign | (exponent === -14 && units < 1024 ? units : units + (exponent + 14) * 1024);
}

/** Rounds to the nearest integer, ties to even, as ONNX Round does. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

const wrap =
  (bits: number, signed: boolean) =>
  (value: number): number => {
    const size = 2 ** bits;
    const rest = ((Math.trunc(value) % size) + size) % size;
    return signed && rest >= size / 2 ? rest - size : rest;
  };

const roundings: Readonly<Record<DataType, (value: number) => number>> = {
  float64: (value) => value,
  float32: Math.fround,
  float16: (value) => float16ToNumber(numberToFloat16(value)),
  bfloat16: (value) => bfloat16ToNumber(numberToBfloat16(value)),
  bool: (value) => (value !== 0 ? 1 : 0),
  int8: wrap(8, true),
  uint8: wrap(8, false),
  int16: wrap(16, true),
  uint16: wrap(16, false),
  int32: (value) => (Number.isFinite(value) ? wrap(32, true)(value) : -(2 ** 31)),
  uint32: wrap(32, false),
  int64: Math.trunc,
  uint64: Math.trunc,
};

/**
 * Rounds `data` in place to numbers that `dtype` can hold: what storing the array in that type
 * would do.
 */
export function roundTo(dtype: DataType, data: Float64Array): void {
  if (dtype === 'float64') return;
  const round = roundings[dtype];
  for (let i = 0; i < data.length; i++) data[i] = round(data[i]!);
}

/** The tensor's elements as numbers. With `float64`, floating types become float64. */
export function fromTensor(t: Tensor, float64 = false): Dense {
  const data = new Float64Array(t.data.length);
  const source = t.data as ArrayLike<number | bigint>;
  if (t.dtype === 'float16' || t.dtype === 'bfloat16') {
    const decode = t.dtype === 'float16' ? float16ToNumber : bfloat16ToNumber;
    for (let i = 0; i < data.length; i++) data[i] = decode(source[i] as number);
  } else if (t.dtype === 'int64' || t.dtype === 'uint64') {
    for (let i = 0; i < data.length; i++) data[i] = Number(source[i]);
  } else {
    data.set(t.data as Float64Array);
  }
  return { dtype: float64 && isFloat(t.dtype) ? 'float64' : t.dtype, dims: t.dims, data };
}

/** A tensor of the array's type; 64-bit integers outside their range are clamped. */
export function toTensor({ dtype, dims, data }: Dense): Tensor {
  if (dtype === 'float64') return { dtype, dims, data: data.slice() };
  const out = new (arrayType(dtype))(data.length);
  if (out instanceof BigInt64Array) {
    for (let i = 0; i < data.length; i++) out[i] = toInt64(data[i]!);
  } else if (out instanceof BigUint64Array) {
    for (let i = 0; i < data.length; i++) out[i] = BigInt(data[i]!);
  } else if (dtype === 'float16' || dtype === 'bfloat16') {
    const encode = dtype === 'float16' ? numberToFloat16 : numberToBfloat16;
    for (let i = 0; i < data.length; i++) out[i] = encode(data[i]!);
  } else {
    out.set(data);
  }
  return { dtype, dims, data: out };
}

/** Row-major strides in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  return strides;
}

/** For every element of an array of `dims`, in order: start + sum of index[i] * strides[i]. */
export function offsets(dims: readonly number[], strides: readonly number[], start = 0): Int32Array {
  const out = new Int32Array(sizeOf(dims));
  if (out.length === 0) return out;
  out[0] = start;
  let filled = 1; // the innermost `filled` elements are done: repeat them along the next axis outward
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const block = filled;
    for (let i = 1; i < dims[axis]!; i++) {
      const shift = i * strides[axis]!;
      for (let j = 0; j < block; j++) out[filled++] = out[j]! + shift;
    }
  }
  return out;
}

/** The shape that all `shapes` broadcast to. Throws when they do not. */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    let size = 1;
    for (const dims of shapes) {
      const dim = dims[i - rank + dims.length] ?? 1;
      if (dim === 1) continue;
      invariant(
        size === 1 || size === dim,
        `shapes ${shapes.map((s) => `[${s.join(', ')}]`).join(' and ')} do not broadcast`,
      );
      size = dim;
    }
    return size;
  });
}

/** Strides with which an array of `dims` is read as if it had shape `target`. */
export function broadcastStrides(dims: readonly number[], target: readonly number[]): number[] {
  const strides = stridesOf(dims);
  return target.map((_, i) => {
    const own = i - target.length + dims.length;
    return own < 0 || dims[own] === 1 ? 0 : strides[own]!;
  });
}

/** The array's data read as shape `target`; not copied when the shape is the same. */
export function broadcastData(x: Dense, target: readonly number[]): Float64Array {
  if (x.dims.length === target.length && x.dims.every((dim, i) => dim === target[i])) return x.data;
  if (x.data.length === 1) return new Float64Array(sizeOf(target)).fill(x.data[0]!);
  return pick(x.data, offsets(target, broadcastStrides(x.dims, target)));
}

/** `data[indices[i]]`; -1 gives `fill`. */
export function pick(data: Float64Array, indices: Int32Array, fill = 0): Float64Array {
  const out = new Float64Array(indices.length);
  for (let i = 0; i < out.length; i++) out[i] = indices[i]! < 0 ? fill : data[indices[i]!]!;
  return out;
}

/**
 * The array made of the given indices along every axis (an outer product of index lists); index -1
 * gives `fill`.
 */
export function takeAxes(x: Dense, indices: readonly (readonly number[])[], fill = 0): Dense {
  const dims = indices.map((list) => list.length);
  const strides = stridesOf(x.dims);
  let table = Int32Array.of(0);
  indices.forEach((list, axis) => {
    const next = new Int32Array(table.length * list.length);
    let k = 0;
    for (const base of table) {
      for (const index of list) next[k++] = base < 0 || index < 0 ? -1 : base + index * strides[axis]!;
    }
    table = next;
  });
  return dense(x.dtype, dims, pick(x.data, table, fill));
}

/** The permuted array: axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Dense, permutation: readonly number[]): Dense {
  const strides = stridesOf(x.dims);
  const dims = permutation.map((axis) => x.dims[axis]!);
  return dense(
    x.dtype,
    dims,
    pick(
      x.data,
      offsets(
        dims,
        permutation.map((axis) => strides[axis]!),
      ),
    ),
  );
}

/** `[0, 1, ..., count - 1]`. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Sizes before, at and after an axis: the array as [outer, size, inner]. */
export function around(dims: readonly number[], axis: number): { outer: number; size: number; inner: number } {
  return { outer: sizeOf(dims.slice(0, axis)), size: dims[axis]!, inner: sizeOf(dims.slice(axis + 1)) };
}
