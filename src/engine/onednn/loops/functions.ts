import type { ActivationMath } from '../../../graph/activations.js';
import type { Element, LoopMath } from './instructions.js';

/**
 * Functions of one number as polynomials in float32, for the generated loops. The coefficients were
 * fitted here by weighted least squares with Lawson's reweighting, which comes near the least
 * greatest error; errors are below 2e-7 of the value, near 1 below 1e-7.
 */

type Arithmetic = Omit<LoopMath, 'exp'>;

/** c0 + c1 x + c2 x^2 ... */
function polynomial(m: Arithmetic, x: Element, coefficients: readonly number[]): Element {
  const [last, ...others] = coefficients.toReversed();
  return others.reduce<Element | number>((sum, value) => m.add(m.mul(sum, x), value), last!) as Element;
}

/** ln 2 in two parts: products of small integers with the first are exact. */
const ln2 = { high: 0.693359375, low: Math.LN2 - 0.693359375 } as const;

/**
 * e^x = 2^n e^r with n the integer nearest to x / ln 2; in two halves, for results below the normal
 * numbers.
 */
export function exp(m: Arithmetic, given: Element): Element {
  const x = m.least(m.most(given, -105), 89);
  const n = m.nearest(m.mul(x, Math.LOG2E));
  const r = m.sub(m.sub(x, m.mul(n, ln2.high)), m.mul(n, ln2.low));
  const rest = polynomial(
    m,
    r,
    [5.00000008e-1, 1.66666669e-1, 4.16662685e-2, 8.33326411e-3, 1.39461766e-3, 1.99185245e-4],
  );
  const y = m.add(m.add(m.mul(rest, m.mul(r, r)), r), 1);
  const half = m.nearest(m.mul(n, 0.5));
  return m.mul(m.mul(y, m.powerOfTwo(half)), m.powerOfTwo(m.sub(n, half)));
}

/** 1 / (1 + e^-x). */
const sigmoid = (m: LoopMath, x: Element): Element => m.div(1, m.add(1, m.exp(m.neg(x))));

/** x + x^3 P(x^2) near 0, else 1 - 2 / (e^2|x| + 1) with the sign of x. */
function tanh(m: LoopMath, x: Element): Element {
  const square = m.mul(x, x),
    size = m.abs(x);
  const rest = polynomial(m, square, [-0.33333331, 0.1333321, -0.0539472, 0.02170297, -0.00818268, 0.00214754]);
  const near = m.add(m.mul(m.mul(rest, square), x), x);
  const away = m.sub(1, m.div(2, m.add(m.exp(m.add(size, size)), 1)));
  return m.whereLess(0.625, size, m.mul(away, m.sign(x)), near);
}

/** x + x P(x^2) up to 1; beyond, 1 - e^(t Q(t)), t = |x| up to 4, where the result is 1. */
function erf(m: LoopMath, x: Element): Element {
  const size = m.abs(x),
    t = m.least(size, 4);
  const rest = polynomial(
    m,
    m.mul(x, x),
    [1.28379166e-1, -3.76126271e-1, 1.12836002e-1, -2.68544446e-2, 5.18953545e-3, -8.02084227e-4, 7.88912285e-5],
  );
  const near = m.add(m.mul(rest, x), x);
  const logarithm = polynomial(
    m,
    t,
    [-1.12864096, -6.35181498e-1, -1.0618761e-1, 2.37201857e-2, -3.62291858e-3, 3.1805964e-4, -1.07631683e-5],
  );
  const far = m.mul(m.sub(1, m.exp(m.mul(t, logarithm))), m.sign(x));
  return m.whereLess(1, size, far, near);
}

const smallestNormal = 2 ** -126,
  smallest = 2 ** -149,
  largest = 3.4028234663852886e38;

/** e ln 2 + ln m for x = 2^e m, m from the root of 1/2 to that of 2. */
function log(m: LoopMath, x: Element): Element {
  const scaled = m.whereLess(x, smallestNormal, m.mul(x, 2 ** 24), x),
    bias = m.whereLess(x, smallestNormal, 127 + 24, 127);
  const exponent = m.sub(m.exponent(scaled), bias),
    fraction = m.fraction(scaled);
  const t = m.sub(m.whereLess(Math.SQRT2, fraction, m.mul(fraction, 0.5), fraction), 1),
    e = m.whereLess(Math.SQRT2, fraction, m.add(exponent, 1), exponent);
  const square = m.mul(t, t);
  const rest = polynomial(
    m,
    t,
    [0.33333313, -0.2500001, 0.20002119, -0.16667996, 0.14219552, -0.12405589, 0.11888163, -0.11675651, 0.06746639],
  );
  const small = m.add(m.sub(m.mul(m.mul(rest, t), square), m.mul(square, 0.5)), m.mul(e, ln2.low));
  const y = m.add(m.add(small, t), m.mul(e, ln2.high));
  const notBelow = m.whereLess(x, 0, NaN, y);
  // neither above 0 nor below: 0, or no number
  const atZero = m.whereLess(m.abs(x), smallest, -Infinity, notBelow);
  return m.whereLess(largest, x, x, m.whereLess(x, Infinity, atZero, m.add(x, y)));
}

/** 1 strictly between the bounds, else 0, for a y that is clipped to them: sign((y - low) (high - y)). */
export function insideOf(m: LoopMath, y: Element, low: number, high: number): Element {
  const above = low === 0 || low === -Infinity ? y : m.sub(y, low);
  if (high === Infinity) return m.sign(above);
  const below = m.sub(high, y);
  return m.sign(low === -Infinity ? below : m.mul(above, below));
}

/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
const softplus = (m: LoopMath, x: Element): Element => m.add(m.most(x, 0), log(m, m.add(m.exp(m.neg(m.abs(x))), 1)));

/** What activations are written in. */
export const activationMath = (m: LoopMath): ActivationMath<Element> => ({
  ...m,
  clipGradient: (dy, y) => m.mul(dy, insideOf(m, y, 0, 1)),
  erf: (x) => erf(m, x),
  hardSigmoid: (x) => m.least(m.most(m.add(m.mul(x, 1 / 6), 0.5), 0), 1),
  sigmoid: (x) => sigmoid(m, x),
  softplus: (x) => softplus(m, x),
  tanh: (x) => tanh(m, x),
});

/** How a loop computes a function, by the op's name. */
export const functions: Readonly<Record<string, (m: LoopMath, x: Element) => Element>> = {
  Exp: (m, x) => m.exp(x),
  Sigmoid: sigmoid,
  Tanh: tanh,
  Erf: erf,
  Log: log,
};
