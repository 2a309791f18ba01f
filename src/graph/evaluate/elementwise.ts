import { broadcastData, broadcastDims, dense, isFloat, roundHalfEven, type Dense } from './dense.js';
import { typeOfCode } from '../element-types.js';
import { number, text, type Kernel, type KernelContext, type Kernels } from './kernel.js';
import { sizeOf } from '../../tensor.js';

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

const unaryFunctions: Readonly<Record<string, (x: number) => number>> = {
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
  HardSwish: (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
  Mish: (x) => x * Math.tanh(softplus(x)),
  Not: (x) => (x === 0 ? 1 : 0),
  BitwiseNot: (x) => ~x,
};

type Binary = (a: number, b: number) => number;

const binaryFunctions: Readonly<Record<string, Binary>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
  PRelu: (x, slope) => (x < 0 ? x * slope : x),
  BitwiseAnd: (a, b) => a & b,
  BitwiseOr: (a, b) => a | b,
  BitwiseXor: (a, b) => a ^ b,
};

const comparisons: Readonly<Record<string, Binary>> = {
  Equal: (a, b) => +(a === b),
  Greater: (a, b) => +(a > b),
  Less: (a, b) => +(a < b),
  GreaterOrEqual: (a, b) => +(a >= b),
  LessOrEqual: (a, b) => +(a <= b),
  And: (a, b) => a & b,
  Or: (a, b) => a | b,
  Xor: (a, b) => a ^ b,
};

// NaN in either operand wins, as in onnxruntime and PyTorch.
const maximum: Binary = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a > b ? a : b);
const minimum: Binary = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? NaN : a < b ? a : b);

const map = (x: Dense, f: (value: number) => number): Dense[] => [dense(x.dtype, x.dims, x.data.map(f))];

function zip(a: Dense, b: Dense, f: Binary, dtype = a.dtype): Dense {
  const dims = broadcastDims(a.dims, b.dims);
  const left = broadcastData(a, dims),
    right = broadcastData(b, dims);
  const out = new Float64Array(left.length);
  for (let i = 0; i < out.length; i++) out[i] = f(left[i]!, right[i]!);
  return dense(dtype, dims, out);
}

const unary =
  (f: (x: number) => number): Kernel =>
  (context) =>
    map(context.input(0), f);
const binary =
  (f: Binary): Kernel =>
  (context) => [zip(context.input(0), context.input(1), f)];
const comparison =
  (f: Binary): Kernel =>
  (context) => [zip(context.input(0), context.input(1), f, 'bool')];
const fold =
  (f: Binary): Kernel =>
  (context) => [present(context).reduce((sum, x) => zip(sum, x, f))];

const present = (context: KernelContext): Dense[] => context.inputs.filter((input) => input !== undefined);

/** An activation with parameters alpha, beta or gamma. */
const activation =
  (alpha: number, beta: number, f: (x: number, alpha: number, beta: number) => number): Kernel =>
  ({ attributes, input }) => {
    const a = number(attributes, 'alpha', alpha),
      b = number(attributes, attributes.gamma === undefined ? 'beta' : 'gamma', beta);
    return map(input(0), (x) => f(x, a, b));
  };

const each = <T>(table: Readonly<Record<string, T>>, make: (entry: T) => Kernel): Kernels =>
  Object.fromEntries(Object.entries(table).map(([op, entry]) => [op, make(entry)]));

/** Elementwise ops, with broadcasting. */
export const elementwise: Kernels = {
  ...each(unaryFunctions, unary),
  ...each(binaryFunctions, binary),
  ...each(comparisons, comparison),
  Sum: fold((a, b) => a + b),
  Max: fold(maximum),
  Min: fold(minimum),
  Mean: (context) => {
    const inputs = present(context);
    return map(
      inputs.reduce((sum, x) => zip(sum, x, (a, b) => a + b)),
      (x) => x / inputs.length,
    );
  },
  Mod: ({ input, attributes }) => [
    zip(input(0), input(1), (a, b) => {
      const rest = a % b; // sign of the dividend, as fmod; without fmod the sign of the divisor
      return number(attributes, 'fmod', 0) === 1 || rest === 0 || rest < 0 === b < 0 ? rest : rest + b;
    }),
  ],
  Identity: ({ input }) => [input(0)],
  Cast: ({ input, attributes }) => {
    const to = typeOfCode(number(attributes, 'to', 1));
    if (!to) throw new Error(`Cast: element type ${number(attributes, 'to', 1)} is not supported`);
    return [
      {
        ...input(0),
        dtype: to,
        data:
          isFloat(to) || !isFloat(input(0).dtype) || to === 'bool'
            ? input(0).data.slice()
            : input(0).data.map(Math.trunc),
      },
    ];
  },
  CastLike: ({ input }) => [{ ...input(0), dtype: input(1).dtype, data: input(0).data.slice() }],
  Where: ({ input }) => {
    const dims = broadcastDims(input(0).dims, input(1).dims, input(2).dims);
    const condition = broadcastData(input(0), dims),
      yes = broadcastData(input(1), dims),
      no = broadcastData(input(2), dims);
    return [
      dense(
        input(1).dtype,
        dims,
        yes.map((value, i) => (condition[i] ? value : no[i]!)),
      ),
    ];
  },
  Clip: ({ input, inputs, attributes }) => {
    const low = inputs[1]?.data[0] ?? number(attributes, 'min', -Infinity),
      high = inputs[2]?.data[0] ?? number(attributes, 'max', Infinity);
    return map(input(0), (x) => minimum(high, maximum(low, x)));
  },
  LeakyRelu: activation(0.01, 0, (x, alpha) => (x < 0 ? alpha * x : x)),
  ThresholdedRelu: activation(1, 0, (x, alpha) => (x > alpha ? x : 0)),
  Elu: activation(1, 0, (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x)),
  Celu: activation(1, 0, (x, alpha) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha))),
  Selu: ({ attributes, input }) => {
    const alpha = number(attributes, 'alpha', 1.6732632423543772),
      gamma = number(attributes, 'gamma', 1.0507009873554805);
    return map(input(0), (x) => gamma * (x > 0 ? x : alpha * Math.expm1(x)));
  },
  HardSigmoid: activation(0.2, 0.5, (x, alpha, beta) => Math.max(0, Math.min(1, alpha * x + beta))),
  Gelu: ({ attributes, input }) =>
    map(
      input(0),
      text(attributes, 'approximate', 'none') === 'tanh'
        ? (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
        : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    ),
  IsNaN: ({ input }) => [
    dense(
      'bool',
      input(0).dims,
      input(0).data.map((x) => +Number.isNaN(x)),
    ),
  ],
  IsInf: ({ input }) => [
    dense(
      'bool',
      input(0).dims,
      input(0).data.map((x) => +(Math.abs(x) === Infinity)),
    ),
  ],
  Dropout: ({ input, inputs, outputCount }) => {
    if (inputs[2]?.data[0]) throw new Error('Dropout: training mode draws its own random numbers; feed a mask instead');
    const y = input(0);
    return [y, dense('bool', y.dims, new Float64Array(sizeOf(y.dims)).fill(1))].slice(0, outputCount);
  },
};
