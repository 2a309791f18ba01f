import type { Instruction } from './wasm.js';

/**
 * Functions of one number as polynomials in float32, for the generated loops. The coefficients were
 * fitted here by weighted least squares with Lawson's reweighting, which comes near the least
 * greatest error; errors are below 2e-7 of the value, near 1 below 1e-7.
 */

type Push = (instruction: Instruction) => number;
type Write = (push: Push, x: number) => number;

const number = (push: Push, value: number): number => push({ op: 'number', value });

/** c0 + c1 x + c2 x^2 ... */
function polynomial(push: Push, x: number, coefficients: readonly number[]): number {
  let sum = number(push, coefficients.at(-1)!);
  for (const value of coefficients.slice(0, -1).reverse())
    sum = push({ op: 'add', a: push({ op: 'mul', a: sum, b: x }), b: number(push, value) });
  return sum;
}

/**
 * e^x = 2^n e^r with n the integer nearest to x / ln 2; in two halves, for results below the normal
 * numbers.
 */
const exp: Write = (push, given) => {
  const x = push({ op: 'least', a: push({ op: 'most', a: given, b: number(push, -105) }), b: number(push, 89) });
  const n = push({ op: 'nearest', a: push({ op: 'mul', a: x, b: number(push, Math.LOG2E) }) });
  const times = (value: number): number => push({ op: 'mul', a: n, b: number(push, value) });
  // ln 2 in two parts: products with the first are exact
  const high = 0.693359375,
    r = push({ op: 'sub', a: push({ op: 'sub', a: x, b: times(high) }), b: times(Math.LN2 - high) });
  const rest = polynomial(
    push,
    r,
    [5.00000008e-1, 1.66666669e-1, 4.16662685e-2, 8.33326411e-3, 1.39461766e-3, 1.99185245e-4],
  );
  const square = push({ op: 'mul', a: r, b: r });
  const y = push({
    op: 'add',
    a: push({ op: 'add', a: push({ op: 'mul', a: rest, b: square }), b: r }),
    b: number(push, 1),
  });
  const half = push({ op: 'nearest', a: push({ op: 'mul', a: n, b: number(push, 0.5) }) });
  const other = push({ op: 'sub', a: n, b: half });
  return push({
    op: 'mul',
    a: push({ op: 'mul', a: y, b: push({ op: 'power', a: half }) }),
    b: push({ op: 'power', a: other }),
  });
};

/** 1 / (1 + e^-x). */
const sigmoid: Write = (push, x) => {
  const one = number(push, 1);
  return push({ op: 'div', a: one, b: push({ op: 'add', a: one, b: exp(push, push({ op: 'neg', a: x })) }) });
};

/** x + x^3 P(x^2) near 0, else 1 - 2 / (e^2|x| + 1) with the sign of x. */
const tanh: Write = (push, x) => {
  const square = push({ op: 'mul', a: x, b: x }),
    one = number(push, 1);
  const rest = polynomial(push, square, [-0.33333331, 0.1333321, -0.0539472, 0.02170297, -0.00818268, 0.00214754]);
  const near = push({ op: 'add', a: push({ op: 'mul', a: push({ op: 'mul', a: rest, b: square }), b: x }), b: x });
  const size = push({ op: 'abs', a: x }),
    grown = exp(push, push({ op: 'add', a: size, b: size }));
  const away = push({
    op: 'sub',
    a: one,
    b: push({ op: 'div', a: number(push, 2), b: push({ op: 'add', a: grown, b: one }) }),
  });
  const far = push({ op: 'mul', a: away, b: push({ op: 'sign', a: x }) });
  return push({ op: 'select', a: number(push, 0.625), b: size, c: far, d: near });
};

/** x + x P(x^2) up to 1; beyond, 1 - e^(t Q(t)), t = |x| up to 4, where the result is 1. */
const erf: Write = (push, x) => {
  const square = push({ op: 'mul', a: x, b: x }),
    size = push({ op: 'abs', a: x }),
    one = number(push, 1);
  const rest = polynomial(
    push,
    square,
    [1.28379166e-1, -3.76126271e-1, 1.12836002e-1, -2.68544446e-2, 5.18953545e-3, -8.02084227e-4, 7.88912285e-5],
  );
  const near = push({ op: 'add', a: push({ op: 'mul', a: rest, b: x }), b: x });
  const t = push({ op: 'least', a: size, b: number(push, 4) });
  const logarithm = push({
    op: 'mul',
    a: t,
    b: polynomial(
      push,
      t,
      [-1.12864096, -6.35181498e-1, -1.0618761e-1, 2.37201857e-2, -3.62291858e-3, 3.1805964e-4, -1.07631683e-5],
    ),
  });
  const far = push({
    op: 'mul',
    a: push({ op: 'sub', a: one, b: exp(push, logarithm) }),
    b: push({ op: 'sign', a: x }),
  });
  return push({ op: 'select', a: one, b: size, c: far, d: near });
};

/** e ln 2 + ln m for x = 2^e m, m from the root of 1/2 to that of 2. */
const log: Write = (push, x) => {
  const zero = number(push, 0),
    one = number(push, 1),
    smallest = number(push, 2 ** -126);
  const scaled = push({
    op: 'select',
    a: x,
    b: smallest,
    c: push({ op: 'mul', a: x, b: number(push, 2 ** 24) }),
    d: x,
  });
  const bias = push({ op: 'select', a: x, b: smallest, c: number(push, 151), d: number(push, 127) });
  const exponent = push({ op: 'sub', a: push({ op: 'exponent', a: scaled }), b: bias }),
    whole = push({ op: 'fraction', a: scaled });
  const root = number(push, Math.SQRT2);
  const m = push({ op: 'select', a: root, b: whole, c: push({ op: 'mul', a: whole, b: number(push, 0.5) }), d: whole });
  const e = push({ op: 'select', a: root, b: whole, c: push({ op: 'add', a: exponent, b: one }), d: exponent });
  const t = push({ op: 'sub', a: m, b: one }),
    square = push({ op: 'mul', a: t, b: t });
  const rest = polynomial(
    push,
    t,
    [0.33333313, -0.2500001, 0.20002119, -0.16667996, 0.14219552, -0.12405589, 0.11888163, -0.11675651, 0.06746639],
  );
  const high = 0.693359375,
    times = (value: number): number => push({ op: 'mul', a: e, b: number(push, value) });
  const cube = push({ op: 'mul', a: push({ op: 'mul', a: rest, b: t }), b: square });
  const small = push({
    op: 'add',
    a: push({ op: 'sub', a: cube, b: push({ op: 'mul', a: square, b: number(push, 0.5) }) }),
    b: times(Math.LN2 - high),
  });
  const y = push({ op: 'add', a: push({ op: 'add', a: small, b: t }), b: times(high) });
  const notBelow = push({ op: 'select', a: x, b: zero, c: number(push, NaN), d: y });
  // neither above 0 nor below: 0, or no number
  const atZero = push({
    op: 'select',
    a: push({ op: 'abs', a: x }),
    b: number(push, 2 ** -149),
    c: number(push, -Infinity),
    d: notBelow,
  });
  const limit = number(push, 3.4028234663852886e38);
  return push({
    op: 'select',
    a: limit,
    b: x,
    c: x,
    d: push({ op: 'select', a: x, b: number(push, Infinity), c: atZero, d: push({ op: 'add', a: x, b: y }) }),
  });
};

/** Instructions that compute a function, by the op's name. */
export const functions: Readonly<Record<string, Write>> = {
  Exp: exp,
  Sigmoid: sigmoid,
  Tanh: tanh,
  Erf: erf,
  Log: log,
};
