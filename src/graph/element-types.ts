import type { DataType } from '../tensor.js';

/** ONNX's numbers of the element types (TensorProto.DataType). */
const codes: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
};
const names = new Map<number, DataType>(Object.entries(codes).map(([name, code]) => [code, name as DataType]));
const others: Readonly<Record<number, string>> = {
  8: 'strings',
  14: 'complex numbers',
  15: 'complex numbers',
  17: '8-bit floats',
  18: '8-bit floats',
  19: '8-bit floats',
  20: '8-bit floats',
  21: '4-bit integers',
  22: '4-bit integers',
  23: '4-bit floats',
  24: '8-bit floats',
  25: '2-bit integers',
  26: '2-bit integers',
};

/** ONNX's number for an element type, as in the attribute `to` of Cast. */
export const typeCode = (dtype: DataType): number => codes[dtype];

/**
 * The element type of ONNX's number, or undefined for those that no image classifier needs
 * (strings, complex, 4-bit).
 */
export const typeOfCode = (code: number): DataType | undefined => names.get(code);

/** What elements of ONNX's number are, for messages. */
export const nameOfCode = (code: number): string => names.get(code) ?? others[code] ?? `elements of type ${code}`;
