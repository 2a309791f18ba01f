import type { Arithmetic } from '../../../graph/arithmetic.js';

/** What is computed for an element, in order; operands are earlier results by index. */
export type Instruction =
  | { readonly op: 'load'; readonly input: number }
  /** The same number for a whole row. */
  | { readonly op: 'one'; readonly input: number }
  | { readonly op: 'number'; readonly value: number }
  /** A number that is known when the loop runs. */
  | { readonly op: 'parameter'; readonly index: number }
  | { readonly op: UnaryOp; readonly a: number }
  | { readonly op: BinaryOp; readonly a: number; readonly b: number }
  /** a < b ? c : d. */
  | { readonly op: 'select'; readonly a: number; readonly b: number; readonly c: number; readonly d: number };

/**
 * `power`: 2^a of an integer from -126 to 127; `exponent`, `fraction`: the parts of a float32 above
 * 0, from 0 to 255 and from 1 to 2.
 */
export type UnaryOp = 'neg' | 'abs' | 'sqrt' | 'sign' | 'nearest' | 'power' | 'exponent' | 'fraction';
/** `least` and `most`: b where it is beyond a, else a. */
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'least' | 'most';

export interface LoopCode {
  readonly instructions: readonly Instruction[];
  /** Results that are written, by index of their instruction. */
  readonly results: readonly number[];
  /** Which inputs and results are in bfloat16 (default: none). */
  readonly halved?: { readonly inputs: readonly boolean[]; readonly results: readonly boolean[] } | undefined;
}

/** A number that a loop computes for each element: the result of instruction `at`. */
export interface Element {
  readonly at: number;
}

type Operand = Element | number;

/** The arithmetic of a generated loop; a number stands for a constant. */
export interface LoopMath extends Arithmetic<Element> {
  abs(a: Element): Element;
  sign(a: Element): Element;
  /** The nearest integer, halves to the even one. */
  nearest(a: Element): Element;
  min(a: Operand, b: Operand): Element;
  max(a: Operand, b: Operand): Element;
  /** b where it is smaller than a, else a: also where either is no number. */
  least(a: Operand, b: Operand): Element;
  /** b where it is larger than a, else a: also where either is no number. */
  most(a: Operand, b: Operand): Element;
  /** `then` where a < b, else `otherwise`. */
  whereLess(a: Operand, b: Operand, then: Operand, otherwise: Operand): Element;
  /** 2^a of an integer from -126 to 127. */
  powerOfTwo(a: Element): Element;
  /** The exponent in the bits of a number above 0, from 0 to 255. */
  exponent(a: Element): Element;
  /** The fraction in the bits of a number above 0, from 1 to 2. */
  fraction(a: Element): Element;
}
