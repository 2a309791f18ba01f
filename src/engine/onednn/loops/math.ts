import { exp } from './functions.js';
import type { BinaryOp, Element, Instruction, LoopMath, UnaryOp } from './instructions.js';

/** Writes the instructions of a loop; a constant that is used again is the same instruction. */
export interface LoopWriter extends LoopMath {
  readonly instructions: readonly Instruction[];
  /** The element of an input, or with `isOne` its one number for the whole row. */
  input(input: number, isOne?: boolean): Element;
  number(value: number): Element;
  /** A number that is known when the loop runs. */
  parameter(index: number): Element;
}

/** A writer of an empty loop. */
export function createLoop(): LoopWriter {
  const instructions: Instruction[] = [];
  const constants = new Map<number, Element>();
  const push = (instruction: Instruction): Element => ({ at: instructions.push(instruction) - 1 });
  const number = (value: number): Element => {
    let known = constants.get(value);
    if (!known) constants.set(value, (known = push({ op: 'number', value })));
    return known;
  };
  const at = (operand: Element | number): number => (typeof operand === 'number' ? number(operand) : operand).at;
  const unary =
    (op: UnaryOp) =>
    (a: Element): Element =>
      push({ op, a: a.at });
  const binary =
    (op: BinaryOp) =>
    (a: Element | number, b: Element | number): Element =>
      push({ op, a: at(a), b: at(b) });
  const writer: LoopWriter = {
    instructions,
    input: (input, isOne = false) => push({ op: isOne ? 'one' : 'load', input }),
    number,
    parameter: (index) => push({ op: 'parameter', index }),
    add: binary('add'),
    sub: binary('sub'),
    mul: binary('mul'),
    div: binary('div'),
    min: binary('min'),
    max: binary('max'),
    least: binary('least'),
    most: binary('most'),
    neg: unary('neg'),
    abs: unary('abs'),
    sqrt: unary('sqrt'),
    sign: unary('sign'),
    nearest: unary('nearest'),
    powerOfTwo: unary('power'),
    exponent: unary('exponent'),
    fraction: unary('fraction'),
    whereLess: (a, b, then, otherwise) => push({ op: 'select', a: at(a), b: at(b), c: at(then), d: at(otherwise) }),
    exp: (a) => exp(writer, a),
  };
  return writer;
}
