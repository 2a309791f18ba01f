import { binaryFunctions, unaryFunctions } from '../../../graph/evaluate/functions.js';
import type { BinaryOp, Instruction, LoopCode, UnaryOp } from './instructions.js';

const parts = new Float32Array(1),
  bits = new Int32Array(parts.buffer);

const unary: Readonly<Record<UnaryOp, (a: number) => number>> = {
  neg: unaryFunctions.Neg,
  abs: unaryFunctions.Abs,
  sqrt: unaryFunctions.Sqrt,
  nearest: unaryFunctions.Round,
  sign: (a) => (a > 0 ? 1 : a < 0 ? -1 : 0),
  power: (a) => 2 ** a,
  exponent: (a) => {
    parts[0] = a;
    return bits[0]! >> 23;
  },
  fraction: (a) => {
    parts[0] = a;
    bits[0] = (bits[0]! & 0x7fffff) | 0x3f800000;
    return parts[0];
  },
};
const binary: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: binaryFunctions.Add,
  sub: binaryFunctions.Sub,
  mul: binaryFunctions.Mul,
  div: binaryFunctions.Div,
  min: Math.min,
  max: Math.max,
  least: (a, b) => (b < a ? b : a),
  most: (a, b) => (a < b ? b : a),
};

/** What a generated loop computes for one row, in plain TypeScript: for tensors outside the heap. */
export function interpret(
  { instructions, results }: LoopCode,
  inputs: readonly Float32Array[],
  outputs: readonly Float32Array[],
  parameters: readonly number[],
): void {
  const values = new Float32Array(instructions.length);
  const valueOf = (item: Instruction, element: number): number => {
    switch (item.op) {
      case 'load':
        return inputs[item.input]![element]!;
      case 'one':
        return inputs[item.input]![0]!;
      case 'number':
        return item.value;
      case 'parameter':
        return parameters[item.index]!;
      case 'select':
        return values[item.a]! < values[item.b]! ? values[item.c]! : values[item.d]!;
      default:
        return 'b' in item ? binary[item.op](values[item.a]!, values[item.b]!) : unary[item.op](values[item.a]!);
    }
  };
  for (let element = 0; element < outputs[0]!.length; element++) {
    instructions.forEach((item, i) => (values[i] = valueOf(item, element)));
    results.forEach((result, i) => (outputs[i]![element] = values[result]!));
  }
}
