import { TensorProto_DataType as Code } from './generated/onnx_pb.js';
import type { DataType } from '../tensor.js';

const codes: Readonly<Record<DataType, Code>> = {
  float32: Code.FLOAT, float64: Code.DOUBLE, float16: Code.FLOAT16, bfloat16: Code.BFLOAT16,
  int8: Code.INT8, uint8: Code.UINT8, int16: Code.INT16, uint16: Code.UINT16,
  int32: Code.INT32, uint32: Code.UINT32, int64: Code.INT64, uint64: Code.UINT64, bool: Code.BOOL,
};
const names = new Map<number, DataType>(Object.entries(codes).map(([name, code]) => [code, name as DataType]));

/** ONNX's number for an element type. */
export const typeCode = (dtype: DataType): number => codes[dtype];

/** The element type of ONNX's number, or undefined for those that no image classifier needs (strings, complex, 4-bit). */
export const typeOfCode = (code: number): DataType | undefined => names.get(code);

/** ONNX's own name of a number, for messages. */
export const nameOfCode = (code: number): string => Code[code]?.toLowerCase() ?? `type ${code}`;
