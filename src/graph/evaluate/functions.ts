import { activations, type ActivationMath } from '../activations.js';
import { numberOf } from '../attributes.js';
import type { Attributes } from '../graph.js';
import { roundHalfEven } from './dense.js';

/** What the elementwise ops compute, as functions of numbers: for the reference, and for engines. */

export type Unary = (x: number) => number;
export type Binary = (a: number, b: number) => number;

/**
 * The error function to double precision: a series near zero, a continued fraction of erfc
 * elsewhere (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    // erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (1 * 3 * ... * (2n+1))
    let term = x,
      sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 200; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = a;
  for (let n = 60; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (fraction * Math.sqrt(Math.PI)));
}

const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The arithmetic of numbers. */
const numbers: ActivationMath<number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (a) => -a,
  sqrt: Math.sqrt,
  exp: Math.exp,
  clipGradient: (dy, y) => clipGradient(dy, y, 0, 1),
  erf,
  hardSigmoid: (x) => minimum(1, maximum(0, x / 6 + 0.5)),
  sigmoid,
  softplus,
  tanh: Math.tanh,
};

/** The gradient of an activation (dy, x), by the activation's op. */
export const activationGradient = (op: string, attributes: Attributes): Binary | undefined => {
  const activation = activations[op];
  return activation && ((dy, x) => activation.gradient(numbers, dy, x, attributes));
};

/** Functions of one number, by op. */
export const unaryFunctions = {
  Abs: Math.abs,
  Neg: (x) => -x,
  Sign: Math.sign,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Round: roundHalfEven,
  Sqrt: Math.sqrt,
  Exp: Math.exp,
  Log: Math.log,
  Reciprocal: (x) => 1 / x,
  Erf: erf,
  Sin: Math.sin,
  Cos: Math.cos,
  Tan: Math.tan,
  Asin: Math.asin,
  Acos: Math.acos,
  Atan: Math.atan,
  Sinh: Math.sinh,
  Cosh: Math.cosh,
  Tanh: Math.tanh,
  Asinh: Math.asinh,
  Acosh: Math.acosh,
  Atanh: Math.atanh,
  Relu: (x) => (x < 0 ? 0 : x),
  Sigmoid: sigmoid,
  Softplus: softplus,
  Softsign: (x) => x / (1 + Math.abs(x)),
  Not: (x) => (x === 0 ? 1 : 0),
  BitwiseNot: (x) => ~x,
} as const satisfies Readonly<Record<string, Unary>>;

/** Functions of one number with attributes, by op. */
const parametricFunctions: Readonly<Record<string, (attributes: Attributes) => Unary>> = {
  LeakyRelu: withAlpha(0.01, (x, alpha) => (x < 0 ? alpha * x : x)),
  ThresholdedRelu: withAlpha(1, (x, alpha) => (x > alpha ? x : 0)),
  Elu: withAlpha(1, (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x)),
  Celu: withAlpha(1, (x, alpha) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha))),
  Selu: (attributes) => {
    const alpha = numberOf(attributes, 'alpha', 1.6732632423543772),
      gamma = numberOf(attributes, 'gamma', 1.0507009873554805);
    return (x) => gamma * (x > 0 ? x : alpha * Math.expm1(x));
  },
  HardSigmoid: (attributes) => {
    const alpha = numberOf(attributes, 'alpha', 0.2),
      beta = numberOf(attributes, 'beta', 0.5);
    return (x) => Math.max(0, Math.min(1, alpha * x + beta));
  },
  ...Object.fromEntries(
    Object.entries(activations).map(([op, { value }]) => [op, (attributes) => (x) => value(numbers, x, attributes)]),
  ),
};

function withAlpha(fallback: number, f: (x: number, alpha: number) => number): (attributes: Attributes) => Unary {
  return (attributes) => {
    const alpha = numberOf(attributes, 'alpha', fallback);
    return (x) => f(x, alpha);
  };
}

/** Ops of one input whose result is a function of each element. */
export const unaryOps: readonly string[] = [...Object.keys(unaryFunctions), ...Object.keys(parametricFunctions)];

/** What an op of one input computes of each element; undefined for other ops. */
export const unaryOf = (op: string, attributes: Attributes): Unary | undefined =>
  Object.hasOwn(unaryFunctions, op)
    ? unaryFunctions[op as keyof typeof unaryFunctions]
    : parametricFunctions[op]?.(attributes);

/** Functions of two numbers, by op. */
export const binaryFunctions = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  PRelu: (x, slope) => (x < 0 ? x * slope : x),
  BitwiseAnd: (a, b) => a & b,
  BitwiseOr: (a, b) => a | b,
  BitwiseXor: (a, b) => a ^ b,
} as const satisfies Readonly<Record<string, Binary>>;

/** What is true (1) or false (0) of two numbers, by op. */
export const comparisons: Readonly<Record<string, Binary>> = {
  Equal: (a, b) => +(a === b),
  Greater: (a, b) => +(a > b),
  Less: (a, b) => +(a < b),
  GreaterOrEqual: (a, b) => +(a >= b),
  LessOrEqual: (a, b) => +(a <= b),
  And: (a, b) => a & b,
  Or: (a, b) => a | b,
  Xor: (a, b) => a ^ b,
};

/** Of no number and another neither is the larger: no number, as in onnxruntime and PyTorch. */
export const maximum: Binary = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a > b ? a : b);
export const minimum: Binary = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a < b ? a : b);

/** dy where y, clipped to the bounds, lies strictly between them, else 0; no number where y is none. */
export const clipGradient = (dy: number, y: number, low: number, high: number): number =>
  dy * (Number.isNaN(y) ? NaN : y > low && y < high ? 1 : 0);
