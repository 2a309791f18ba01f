import { numberOf } from '../attributes.js';
import { typeOfCode } from '../element-types.js';
import type { InferenceRule } from './rule.js';
import { atLeast, broadcastShapes, fail, likeFirst, need, sameType } from './common.js';

/** Output: the inputs' type, broadcast. */
const broadcast: InferenceRule = (context) => {
  if (context.inputs.length === 0) fail(context, 'has no inputs');
  return [
    {
      dtype: sameType(context),
      shape: broadcastShapes(
        context,
        context.inputs.map((_, i) => need(context, i).shape),
      ),
    },
  ];
};

const compare: InferenceRule = (context) => {
  sameType(context);
  return [{ dtype: 'bool', shape: broadcastShapes(context, [need(context, 0).shape, need(context, 1).shape]) }];
};

/** The exponent may have another type than the base. */
const power: InferenceRule = (context) => [
  { dtype: need(context, 0).dtype, shape: broadcastShapes(context, [need(context, 0).shape, need(context, 1).shape]) },
];

const where: InferenceRule = (context) => {
  if (need(context, 0).dtype !== 'bool') fail(context, `needs a bool condition, got ${need(context, 0).dtype}`);
  return [
    {
      dtype: sameType(context, context.inputs.slice(1)),
      shape: broadcastShapes(context, [need(context, 0).shape, need(context, 1).shape, need(context, 2).shape]),
    },
  ];
};

const cast: InferenceRule = (context) => {
  const dtype =
    typeOfCode(numberOf(context.attributes, 'to', 0)) ??
    fail(context, `has an unknown type to=${String(context.attributes.to)}`);
  return [{ dtype, shape: need(context, 0).shape }];
};

const test: InferenceRule = (context) => [{ dtype: 'bool', shape: need(context, 0).shape }];

/** Output, and the mask when it is asked for. */
const dropout: InferenceRule = (context) => {
  const { dtype, shape } = need(context, 0);
  return atLeast(context, 1, [
    { dtype, shape },
    { dtype: 'bool', shape },
  ]);
};

const quantize: InferenceRule = (context) => [
  { dtype: context.inputs[2]?.dtype ?? 'uint8', shape: need(context, 0).shape },
];
const dequantize: InferenceRule = (context) => [{ dtype: need(context, 1).dtype, shape: need(context, 0).shape }];

const entries = (rule: InferenceRule, ops: string): [string, InferenceRule][] =>
  ops
    .trim()
    .split(/\s+/)
    .map((op) => [op, rule]);

export const elementwiseRules: ReadonlyMap<string, InferenceRule> = new Map([
  ...entries(
    likeFirst,
    `
    Identity Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Neg Not Reciprocal
    Round Sign Sin Sinh Sqrt Tan Tanh Celu Elu Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Relu
    Selu Sigmoid Softplus Softsign Swish ThresholdedRelu Clip CumSum Hardmax Softmax LogSoftmax LRN
    InstanceNormalization Trilu BitwiseNot MeanOverRanks`,
  ),
  ...entries(broadcast, 'Add Sub Mul Div Mod Min Max Sum Mean And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor'),
  ...entries(compare, 'Equal Greater GreaterOrEqual Less LessOrEqual'),
  ...entries(test, 'IsNaN IsInf'),
  ['Pow', power],
  ['Where', where],
  ['Cast', cast],
  ['Dropout', dropout],
  ['QuantizeLinear', quantize],
  ['DequantizeLinear', dequantize],
]);
