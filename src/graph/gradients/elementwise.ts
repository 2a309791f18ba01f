import { activationGradients } from '../activations.js';
import { numberOf } from '../attributes.js';
import { numbersOf } from '../../tensor.js';
import type { Value } from '../graph.js';
import type { GradientContext, GradientRule, GradientTable } from '../gradients.js';
import { constantInts, inputOf, outputGradient, unsupported } from './common.js';
import { cast, math, type GraphMath } from '../math.js';

interface Unary {
  readonly c: GraphMath;
  readonly x: Value;
  readonly y: Value;
  readonly dy: Value;
  readonly context: GradientContext;
}

/** A rule for one input: dx from x, y and dy. */
const unary =
  (derivative: (terms: Unary) => Value): GradientRule =>
  (context) => [
    derivative({
      c: math(context.builder),
      x: inputOf(context, 0),
      y: context.outputs[0]!,
      dy: outputGradient(context),
      context,
    }),
  ];

/** A rule for two inputs that builds only what is wanted. */
const binary =
  (left: (terms: Unary & { b: Value }) => Value, right: (terms: Unary & { b: Value }) => Value): GradientRule =>
  (context) => {
    const terms = {
      c: math(context.builder),
      x: inputOf(context, 0),
      b: inputOf(context, 1),
      y: context.outputs[0]!,
      dy: outputGradient(context),
      context,
    };
    return [context.needs(0) ? left(terms) : undefined, context.needs(1) ? right(terms) : undefined];
  };

/** dy where y, which is clipped to the bounds, lies strictly between them: engines have one pass for it. */
const clipGradient = ({ builder }: GraphMath, dy: Value, y: Value, low: number, high: number): Value =>
  builder.op('ClipGrad', [dy, y], { low, high });

/**
 * The gradient goes in equal shares to all operands that attain the extreme value, as in PyTorch.
 */
const extreme: GradientRule = (context) => {
  const c = math(context.builder),
    dy = outputGradient(context),
    y = context.outputs[0]!;
  const masks = context.inputs.map((x) => c.mask('Equal', y, x!));
  const share = c.div(
    dy,
    masks.reduce((sum, mask) => c.add(sum, mask)),
  );
  return masks.map((mask, index) => (context.needs(index) ? c.mul(share, mask) : undefined));
};

function power(context: GradientContext): readonly (Value | undefined)[] {
  const c = math(context.builder),
    [x, exponent] = [inputOf(context, 0), inputOf(context, 1)],
    y = context.outputs[0]!,
    dy = outputGradient(context);
  const constant = context.builder.constantOf(exponent);
  const p = constant && new Set(numbersOf(constant)).size === 1 ? Number(constant.data[0]) : undefined;
  const base = (): Value => {
    if (p === 1) return dy;
    if (p === 2) return c.mul(dy, c.mul(x, 2));
    if (p === 0.5) return c.div(c.mul(dy, 0.5), y);
    if (p !== undefined) return c.mul(dy, c.mul(c.pow(x, p - 1), p));
    const q = cast(context.builder, exponent, x);
    return c.mul(dy, c.mul(c.pow(x, c.sub(q, 1)), q));
  };
  // d x^p / dp = y log x, and 0 where x is 0
  const logarithm = (): Value => c.log(c.where(context.builder.op('Equal', [x, 0]), 1, x));
  return [context.needs(0) ? base() : undefined, context.needs(1) ? c.mul(dy, c.mul(y, logarithm())) : undefined];
}

const clip: GradientRule = (context) => {
  const bound = (index: number, name: string, fallback: number): number =>
    constantInts(context, index)?.[0] ?? numberOf(context.attributes, name, fallback);
  const c = math(context.builder),
    dy = outputGradient(context),
    low = bound(1, 'min', -Infinity),
    high = bound(2, 'max', Infinity);
  return [low === -Infinity && high === Infinity ? dy : clipGradient(c, dy, context.outputs[0]!, low, high)];
};

/** Elementwise ops. Formulas are derivatives from any calculus text; y is the output. */
export const elementwise: GradientTable = {
  Add: binary(
    ({ dy }) => dy,
    ({ dy }) => dy,
  ),
  Sub: binary(
    ({ dy }) => dy,
    ({ c, dy }) => c.neg(dy),
  ),
  Mul: binary(
    ({ c, dy, b }) => c.mul(dy, b),
    ({ c, dy, x }) => c.mul(dy, x),
  ),
  Div: binary(
    ({ c, dy, b }) => c.div(dy, b),
    ({ c, dy, y, b }) => c.neg(c.mul(c.div(dy, b), y)),
  ),
  Pow: power,
  PRelu: binary(
    // y = x where x >= 0, else slope * x
    ({ c, dy, x, b, context }) => c.where(context.builder.op('Less', [x, 0]), c.mul(dy, b), dy),
    ({ c, dy, x, context }) => c.mul(dy, context.builder.op('Min', [x, 0])),
  ),
  Sum: (context) => context.inputs.map(() => outputGradient(context)),
  Mean: (context) => {
    const share = math(context.builder).mul(outputGradient(context), 1 / context.inputs.length);
    return context.inputs.map(() => share);
  },
  Max: extreme,
  Min: extreme,
  Where: (context) => {
    const c = math(context.builder),
      dy = outputGradient(context),
      condition = inputOf(context, 0);
    return [
      'zero',
      context.needs(1) ? c.where(condition, dy, 0) : undefined,
      context.needs(2) ? c.where(condition, 0, dy) : undefined,
    ];
  },
  Clip: clip,

  Identity: unary(({ dy }) => dy),
  // the loss is the mean of the ranks' losses, each of which depends on every rank's x
  MeanOverRanks: unary(({ context, dy }) => context.builder.op('MeanOverRanks', [dy])),
  Neg: unary(({ c, dy }) => c.neg(dy)),
  Abs: unary(({ c, x, dy }) => c.mul(dy, c.sign(x))),
  Sqrt: unary(({ c, y, dy }) => c.div(c.mul(dy, 0.5), y)),
  Exp: unary(({ c, y, dy }) => c.mul(dy, y)),
  Log: unary(({ c, x, dy }) => c.div(dy, x)),
  Reciprocal: unary(({ c, y, dy }) => c.neg(c.mul(dy, c.mul(y, y)))),
  Erf: unary(({ c, x, dy }) => c.mul(dy, c.mul(c.exp(c.neg(c.mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  Sin: unary(({ c, x, dy, context }) => c.mul(dy, context.builder.op('Cos', [x]))),
  Cos: unary(({ c, x, dy, context }) => c.neg(c.mul(dy, context.builder.op('Sin', [x])))),
  Tan: unary(({ c, y, dy }) => c.mul(dy, c.add(c.square(y), 1))),
  Asin: unary(({ c, x, dy }) => c.div(dy, c.sqrt(c.add(c.neg(c.square(x)), 1)))),
  Acos: unary(({ c, x, dy }) => c.neg(c.div(dy, c.sqrt(c.add(c.neg(c.square(x)), 1))))),
  Atan: unary(({ c, x, dy }) => c.div(dy, c.add(c.square(x), 1))),
  Sinh: unary(({ c, x, dy, context }) => c.mul(dy, context.builder.op('Cosh', [x]))),
  Cosh: unary(({ c, x, dy, context }) => c.mul(dy, context.builder.op('Sinh', [x]))),
  Asinh: unary(({ c, x, dy }) => c.div(dy, c.sqrt(c.add(c.square(x), 1)))),
  Acosh: unary(({ c, x, dy }) => c.div(dy, c.sqrt(c.sub(c.square(x), 1)))),
  Atanh: unary(({ c, x, dy }) => c.div(dy, c.add(c.neg(c.square(x)), 1))),
  Tanh: unary(({ c, y, dy }) => c.mul(dy, c.sub(1, c.mul(y, y)))),
  Sigmoid: unary(({ c, y, dy }) => c.mul(dy, c.sub(y, c.mul(y, y)))),
  Softplus: unary(({ c, x, dy }) => c.mul(dy, c.sigmoid(x))),
  Softsign: unary(({ c, x, dy, context }) => {
    const scale = c.add(context.builder.op('Abs', [x]), 1);
    return c.div(dy, c.mul(scale, scale));
  }),
  Relu: unary(({ c, y, dy }) => clipGradient(c, dy, y, 0, Infinity)),
  LeakyRelu: unary(({ c, x, dy, context }) =>
    c.where(context.builder.op('Greater', [x, 0]), dy, c.mul(dy, numberOf(context.attributes, 'alpha', 0.01))),
  ),
  ThresholdedRelu: unary(({ c, x, dy, context }) =>
    c.mul(dy, c.mask('Greater', x, numberOf(context.attributes, 'alpha', 1))),
  ),
  // for x < 0: y = alpha (e^x - 1), dy/dx = y + alpha
  Elu: unary(({ c, x, y, dy, context }) =>
    c.where(context.builder.op('Greater', [x, 0]), dy, c.mul(dy, c.add(y, numberOf(context.attributes, 'alpha', 1)))),
  ),
  // for x < 0: y = alpha (e^(x/alpha) - 1), dy/dx = y / alpha + 1
  Celu: unary(({ c, x, y, dy, context }) => {
    const slope = c.add(c.mul(y, 1 / numberOf(context.attributes, 'alpha', 1)), 1);
    return c.where(context.builder.op('Greater', [x, 0]), dy, c.mul(dy, slope));
  }),
  // y = gamma x, or gamma alpha (e^x - 1) with dy/dx = y + gamma alpha
  Selu: unary(({ c, x, y, dy, context }) => {
    const alpha = numberOf(context.attributes, 'alpha', 1.6732632423543772),
      gamma = numberOf(context.attributes, 'gamma', 1.0507009873554805);
    return c.where(context.builder.op('Greater', [x, 0]), c.mul(dy, gamma), c.mul(dy, c.add(y, gamma * alpha)));
  }),
  HardSigmoid: unary(({ c, y, dy, context }) =>
    clipGradient(c, c.mul(dy, numberOf(context.attributes, 'alpha', 0.2)), y, 0, 1),
  ),
  ...Object.fromEntries(
    [...activationGradients].map(([op, gradient]) => [
      op,
      unary(({ x, dy, context }) => context.builder.op(gradient, [dy, x], context.attributes)),
    ]),
  ),

  Cast: (context) => [cast(context.builder, outputGradient(context), inputOf(context, 0))],
  Dropout: (context) => {
    if (context.inputs[2] && constantInts(context, 2)?.[0])
      unsupported(context, 'in training mode it draws its own random numbers');
    return [outputGradient(context)];
  },

  Sign: 'none',
  Floor: 'none',
  Ceil: 'none',
  Round: 'none',
  Not: 'none',
  And: 'none',
  Or: 'none',
  Xor: 'none',
  Equal: 'none',
  Greater: 'none',
  Less: 'none',
  GreaterOrEqual: 'none',
  LessOrEqual: 'none',
  BitwiseAnd: 'none',
  BitwiseNot: 'none',
  BitwiseOr: 'none',
  BitwiseXor: 'none',
  BitShift: 'none',
  Hardmax: 'none',
  IsNaN: 'none',
  IsInf: 'none',
};
