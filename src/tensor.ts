import { invariant } from './errors.js';

/**
 * Element types, by onnxruntime's names. `bool` is held one byte an element; `float16` and
 * `bfloat16` as raw 16 bits.
 */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool';

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A dense array, row-major. `data.length` equals the product of `dims`. */
export interface Tensor {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly data: TypedArray;
}

/** A tensor whose elements are known to be 32-bit floats. */
export interface FloatTensor extends Tensor {
  readonly dtype: 'float32';
  readonly data: Float32Array;
}

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** The typed-array constructor that holds elements of `dtype`. */
export const arrayType = <T extends DataType>(dtype: T): (typeof arrayTypes)[T] => arrayTypes[dtype];

/** Bytes that one element of `dtype` takes. */
export const elementSize = (dtype: DataType): number => arrayTypes[dtype].BYTES_PER_ELEMENT;

/** The number of elements of a shape: 1 for a scalar. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** A tensor over `data`, not copied. Throws when `dims` and the length of `data` disagree. */
export function tensor(dtype: DataType, dims: readonly number[], data: TypedArray): Tensor {
  invariant(sizeOf(dims) === data.length, `tensor: ${data.length} elements do not fill [${dims.join(', ')}]`);
  return { dtype, dims, data };
}

/** A float32 tensor; `data` is copied unless it is a Float32Array. */
export function float32(dims: readonly number[], data: ArrayLike<number>): FloatTensor {
  const array = data instanceof Float32Array ? data : Float32Array.from(data);
  invariant(sizeOf(dims) === array.length, `float32: ${array.length} elements do not fill [${dims.join(', ')}]`);
  return { dtype: 'float32', dims, data: array };
}

const highest = 2n ** 63n - 1n;

/**
 * A number as a 64-bit integer. Beyond their range, as 2^63 - 1 is once it was a number ("to the
 * end"), it is brought back to the nearest. Throws an Error for what is no finite number.
 */
export function toInt64(value: number): bigint {
  if (!Number.isFinite(value)) throw new Error(`a size, axis or index is ${value}`);
  const big = BigInt(Math.trunc(value));
  return big > highest ? highest : big < -highest - 1n ? -highest - 1n : big;
}

/** An int64 tensor, the type of ONNX shapes, axes and indices. */
export const int64 = (dims: readonly number[], data: readonly number[]): Tensor =>
  tensor('int64', dims, BigInt64Array.from(data, toInt64));

/** A tensor of zeros. */
export const zeros = (dtype: DataType, dims: readonly number[]): Tensor =>
  tensor(dtype, dims, new (arrayType(dtype))(sizeOf(dims)));

/** The elements as JavaScript numbers (64-bit integers are converted). */
export const numbersOf = (t: Tensor): number[] => Array.from(t.data as ArrayLike<number | bigint>, Number);

/** Arrays one after another. */
export function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}
