import { listOf, numberOf, requiredList } from '../../../graph/attributes.js';
import type { Attributes } from '../../../graph/graph.js';
import { numbersOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import { isSized, type Sized } from '../sized.js';
import type { Lowering, LoweringContext } from '../lowering.js';
import {
  blockedConvolution,
  blockedDepthwiseGradient,
  blockedGlobalAverage,
  blockedInputGradient,
  blockedKind,
  blockedMean,
  blockedPool,
  blockedSampleScale,
  canBlock,
  dropFilling,
  fusible,
  isImage,
  toPlain,
} from './blocked.js';
import { batchNormalization, batchNormalizationGradient } from './blocked-normalization.js';
import { convolutionOf, isDepthwise, windowAttributes, windowOver, type Convolution } from './convolution.js';
import { bankFilterGradient, planeProducts } from './filter-banks.js';
import { maxPoolGradientByTaps } from './pooling.js';

/**
 * What each op becomes in the blocked layout. Convolutions bring activations into it, and whatever
 * can stay in it does: a rule applies where an input is at hand in blocks already.
 */

const convolution: Lowering = (context) => {
  const { e, node, declared, has, choices } = context;
  const [x, w] = [declared(0), declared(1)];
  if (choices.block === 0 || x.dtype !== 'float32' || x.shape.length !== 4 || !isSized(x) || !isSized(w))
    return undefined;
  const c = convolutionOf(node.name, node.attributes, x.shape, w.shape);
  const kind = blockedKind(c, choices.block);
  if (!kind) return undefined;
  const image = kind === 'few inputs' ? context.input(0) : context.blocked(0);
  const weights = { w: context.input(1), bias: has(2) ? context.input(2) : undefined };
  return fusible(context, blockedConvolution(e, image, weights, c, { kind, block: choices.block }));
};

const inputGradient: Lowering = (context) => {
  const { e, node, choices } = context;
  if (choices.block === 0) return undefined;
  const w = context.input(1);
  const c = convolutionOf(node.name, node.attributes, requiredList(node.attributes, 'input_shape'), w.shape);
  if (!blockedKind(c, choices.block) || !canBlock(c.outputChannels, choices.block)) return undefined;
  const dx = blockedInputGradient(e, context.blocked(0), w, c, choices.block);
  return dx && fusible(context, dx);
};

/**
 * Depthwise filters in blocks; dense ones by the blocked kernels, with an activation in the place
 * of filters.
 */
const filterGradient: Lowering = (context) => {
  const { e, node, declared, choices } = context;
  const [x, dy] = [declared(0), declared(1)];
  if (x.dtype !== 'float32' || !isSized(x) || !isSized(dy) || x.shape.length !== 4) return undefined;
  const c = convolutionOf(node.name, node.attributes, x.shape, [
    dy.shape[1]!,
    0,
    ...requiredList(node.attributes, 'kernel_shape'),
  ]);
  if (isDepthwise(c)) {
    if (!isImage(x, choices.block) || !isImage(dy, choices.block)) return undefined;
    const dw = blockedDepthwiseGradient(e, context.blocked(1), context.blocked(0), c, choices.block);
    return dw && [dw];
  }
  if (c.group > 1 || choices.filterGradient(c) !== 'banks') return undefined;
  if (c.kernel.every((n) => n === 1) && [...c.before, ...c.after].every((n) => n === 0))
    return pointwiseFilterGradient(context, c);
  if (!isImage(dy, choices.block)) return undefined;
  const isBlocked = context.isBlocked(0);
  return [
    bankFilterGradient(
      e,
      context.blocked(1),
      { value: isBlocked ? context.blocked(0) : context.input(0), isBlocked },
      c,
      choices.block,
    ),
  ];
};

/** 1x1 filters: whichever has more channels takes the place of filters. */
function pointwiseFilterGradient(context: LoweringContext, c: Convolution): ReturnType<Lowering> {
  const {
    e,
    declared,
    choices: { block },
  } = context;
  const shape = [c.outputChannels, c.inputChannels, 1, 1];
  const thinned = c.strides.some((n) => n > 1);
  const canSwap =
    isImage({ ...declared(0), shape: [c.batch, c.inputChannels, ...c.output] }, block) &&
    (!thinned || context.isBlocked(0));
  const x = (): Sized => (thinned ? thin(e, context.blocked(0), c) : context.blocked(0));
  if (canSwap && (c.inputChannels > c.outputChannels || !isImage(declared(1), block))) {
    const product = planeProducts(e, x(), context.input(1), block);
    return [e.reshape(e.transpose(dropFilling(e, product, c.inputChannels), [1, 0]), shape)];
  }
  if (!isImage(declared(1), block)) return undefined;
  const image = !thinned
    ? context.input(0)
    : context.isBlocked(0)
      ? toPlain(e, x(), c.inputChannels)
      : e.slice(context.input(0), [2, 3], [0, 0], [...c.input], [...c.strides]);
  return [e.reshape(dropFilling(e, planeProducts(e, context.blocked(1), image, block), c.outputChannels), shape)];
}

/** Every s-th pixel of a blocked x: a pool over single pixels. */
const thin = (e: Emitter, x: Sized, c: Convolution): Sized =>
  blockedPool(
    e,
    'MaxPool',
    x,
    {
      kernel_shape: [1, 1],
      strides: [...c.strides],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
    },
    c.output,
  );

/** Clip and Relu, in the pass of the convolution or normalisation before them. */
const activation: Lowering = (context) => {
  const { node } = context;
  if (!context.isBlocked(0)) return undefined;
  const low = context.has(1) ? context.constant(node.inputs[1]!) : -Infinity;
  const high = context.has(2) ? context.constant(node.inputs[2]!) : Infinity;
  const compute = context.uses(node.inputs[0]!) === 1 ? context.fusible.get(context.blocked(0).name) : undefined;
  if (!compute || (node.op === 'Clip' && !(Number.isFinite(low) && Number.isFinite(high)))) return elementwise(context);
  return [
    {
      blocked: compute({
        activation: node.op === 'Relu' ? { name: 'Relu', parameters: [] } : { name: 'Clip', parameters: [low!, high!] },
      }),
    },
  ];
};

/**
 * A sum of a convolution and another image: onnxruntime adds in place where the other is not needed
 * any more.
 */
const addition: Lowering = (context) => {
  const { node, declared, outputs } = context;
  const [a, b] = node.inputs as [string, string];
  const both =
    a !== b && [0, 1].every((index) => context.isBlocked(index) && sameSize(declared(index).shape, outputs[0]!.shape));
  if (!both) return elementwise(context);
  for (const [index, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const compute =
      context.uses(node.inputs[index]!) === 1 ? context.fusible.get(context.blocked(index).name) : undefined;
    if (!compute) continue;
    const plus = context.blocked(other);
    return fusible(context, (options) =>
      options.plus ? compute({ ...options, plus: context.e.add(plus, options.plus) }) : compute({ ...options, plus }),
    );
  }
  return elementwise(context);
};

/**
 * An op on elements keeps the layout of its images; other operands must be scalars, or numbers per
 * sample.
 */
const elementwise: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    outputs,
    choices: { block },
  } = context;
  const indices = node.inputs.flatMap((name, index) => (name === '' ? [] : [index]));
  const shape = outputs[0]!.shape;
  if (!indices.some((index) => context.isBlocked(index))) return undefined;
  const kinds = indices.map((index) => {
    const value = declared(index);
    if (context.isBlocked(index) || (isImage(value, block) && sameSize(value.shape, shape))) return 'image';
    if (value.shape.every((n) => n === 1)) return 'scalar';
    return value.shape.length === 4 && value.shape.slice(1).every((n) => n === 1) ? 'sample' : undefined;
  });
  if (kinds.includes(undefined)) return scaleSamples(context);
  // channels that only fill up a block must not become infinite or NaN, from where they would reach
  // others through a product with 0
  const safe = (shape[1] as number) % block === 0 || safeOps.has(node.op);
  if (!safe) return undefined;
  const inputs = node.inputs.map((name, index) =>
    name === '' ? null : kinds[indices.indexOf(index)] === 'image' ? context.blocked(index) : context.input(index),
  );
  const images = indices.filter((_, i) => kinds[i] === 'image').map((index) => context.blocked(index));
  return [{ blocked: e.emit(node.op, inputs, node.attributes, images[0]!.shape, { dtype: outputs[0]!.dtype }) }];
};

const sameSize = (a: readonly (number | string)[], b: readonly (number | string)[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

/** An image times [N, C, 1, 1], as squeeze-and-excitation does. */
function scaleSamples(context: LoweringContext): ReturnType<Lowering> {
  const {
    e,
    node,
    declared,
    outputs,
    choices: { block },
  } = context;
  if (node.op !== 'Mul' || outputs[0]!.dtype !== 'float32') return undefined;
  for (const [image, factor] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const [x, s] = [declared(image), declared(factor)];
    if (!context.isBlocked(image) || !isImage(x, block) || !isSized(s)) continue;
    if (!sameSize(s.shape, [x.shape[0]!, x.shape[1]!, 1, 1])) continue;
    return [{ blocked: blockedSampleScale(e, context.blocked(image), context.input(factor)) }];
  }
  return undefined;
}

/** Ops that make finite numbers of zeros. */
const safeOps: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Neg',
  'Abs',
  'Sign',
  'Relu',
  'Clip',
  'LeakyRelu',
  'Sigmoid',
  'HardSigmoid',
  'HardSwish',
  'Tanh',
  'Exp',
  'Erf',
  'Sqrt',
  'Min',
  'Max',
  'Softplus',
  'Elu',
  'Greater',
  'Less',
  'Equal',
  'GreaterOrEqual',
  'LessOrEqual',
  'And',
  'Or',
  'Not',
  'Where',
  'Cast',
  'Identity',
]);

const elementwiseOps = [
  ...safeOps,
  'Div',
  'Pow',
  'Log',
  'Reciprocal',
  'Softsign',
  'Celu',
  'Selu',
  'ThresholdedRelu',
  'Mish',
  'Gelu',
];

/** Mean over pixels, [N, C, 1, 1] or [N, C]. */
const globalAverage: Lowering = (context) => {
  const { e, declared, outputs } = context;
  if (!context.isBlocked(0)) return undefined;
  const mean = blockedGlobalAverage(e, context.blocked(0), declared(0).shape[1] as number);
  return [e.reshape(mean, outputs[0]!.shape as readonly number[])];
};

/** Sums and means over pixels, or over batch and pixels (gradients of biases). */
const reduction: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    outputs,
    choices: { block },
  } = context;
  const image = declared(0);
  if (!context.isBlocked(0) || !isSized(image)) return undefined;
  const axesTensor = context.has(1) ? e.constantOf(declared(1)) : undefined;
  const axes = axesTensor ? numbersOf(axesTensor) : listOf(node.attributes, 'axes');
  const key = axes
    ?.map((axis) => (axis + 4) % 4)
    .sort()
    .join();
  if (key !== '2,3' && key !== '0,2,3') return undefined;
  const pixels = image.shape[2]! * image.shape[3]!;
  const mean =
    key === '2,3'
      ? blockedGlobalAverage(e, context.blocked(0), image.shape[1]!)
      : dropFilling(e, blockedMean(e, context.blocked(0), block), image.shape[1]!);
  const count = key === '2,3' ? pixels : pixels * image.shape[0]!;
  return [e.reshape(node.op === 'ReduceSum' ? e.scale(mean, count) : mean, outputs[0]!.shape as readonly number[])];
};

const pool =
  (op: 'MaxPool' | 'AveragePool'): Lowering =>
  (context) => {
    const { e, node, declared, outputs } = context;
    const x = declared(0);
    if (!context.isBlocked(0) || !isSized(x) || outputs.length > 1) return undefined;
    const window = windowOver(node.name, node.attributes, x.shape);
    if (numberOf(node.attributes, 'ceil_mode', 0) === 1 || window.dilations.some((n) => n !== 1)) return undefined;
    const { group: _group, dilations, ...attributes } = windowAttributes({ ...window, group: 1 });
    const own: Attributes =
      op === 'AveragePool'
        ? { count_include_pad: numberOf(node.attributes, 'count_include_pad', 0) }
        : { dilations: dilations! };
    const y = blockedPool(e, op, context.blocked(0), { ...attributes, ...own }, window.output);
    return [{ blocked: y }];
  };

/**
 * Gradient of a pool in blocks whose windows do not overlap; with overlap there are so many taps
 * that indices are no slower.
 */
const maxPoolGradient: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    choices: { block },
  } = context;
  const x = declared(0);
  if (!context.isBlocked(0) || !isSized(x)) return undefined;
  const window = windowOver(node.name, node.attributes, x.shape);
  if ([0, 1].some((i) => window.kernel[i]! > window.strides[i]!)) return undefined;
  return [
    { blocked: maxPoolGradientByTaps(e, [context.blocked(0), context.blocked(1), context.blocked(2)], window, block) },
  ];
};

/** Concatenation of channels, where every part fills its blocks. */
const concatenation: Lowering = (context) => {
  const {
    e,
    node,
    declared,
    choices: { block },
  } = context;
  const parts = node.inputs.map((_, index) => declared(index));
  if (!parts.every((part) => isImage(part, block) && part.shape[1]! % block === 0)) return undefined;
  if (!parts.some((_, index) => context.isBlocked(index)) || (numberOf(node.attributes, 'axis', 1) + 4) % 4 !== 1)
    return undefined;
  return [
    {
      blocked: e.concat(
        parts.map((_, index) => context.blocked(index)),
        1,
      ),
    },
  ];
};

const rules: Readonly<Record<string, Lowering>> = {
  ...Object.fromEntries(elementwiseOps.map((op) => [op, elementwise])),
  Conv: convolution,
  ConvGradInput: inputGradient,
  ConvGradWeight: filterGradient,
  BatchNormalization: batchNormalization,
  BatchNormalizationGrad: batchNormalizationGradient,
  Add: addition,
  Identity: (context) => (context.isBlocked(0) ? context.each((x) => x) : undefined),
  Relu: activation,
  Clip: activation,
  GlobalAveragePool: globalAverage,
  ReduceMean: reduction,
  ReduceSum: reduction,
  MaxPool: pool('MaxPool'),
  MaxPoolGrad: maxPoolGradient,
  AveragePool: pool('AveragePool'),
  Concat: concatenation,
};

/** The table, for machines that have blocks. */
export const blockedLowerings: Readonly<Record<string, Lowering>> = Object.fromEntries(
  Object.entries(rules).map(([op, rule]): [string, Lowering] => [
    op,
    (context) => (context.choices.block === 0 ? undefined : rule(context)),
  ]),
);
