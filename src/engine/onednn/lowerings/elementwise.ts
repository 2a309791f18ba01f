import { numberOf } from '../../../graph/attributes.js';
import { broadcastStrides, offsets } from '../../../graph/evaluate/dense.js';
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import { argument, binary, elementsOf, eltwise, type Layout, type PostOp } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';
import type { Place } from '../memory/places.js';
import type { Lowering } from './lowering.js';
import { meanOverPixels } from './sums.js';

/** Elements from which a call of the library pays. */
const large = 8192;

const unary: Readonly<Record<string, (value: number) => number>> = {
  Neg: (x) => -x,
  Abs: Math.abs,
  Sqrt: Math.sqrt,
  Exp: Math.exp,
  Log: Math.log,
  Tanh: Math.tanh,
  Sign: Math.sign,
  Reciprocal: (x) => 1 / x,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Relu: (x) => (x < 0 ? 0 : x),
  Floor: Math.floor,
  Ceil: Math.ceil,
  Sin: Math.sin,
  Cos: Math.cos,
  Softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
};
const dyadic: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
};

/** The library's algorithm for an op of one input, with its two parameters. */
function algorithmOf(e: Emitter, node: Node): readonly [algorithm: number, alpha: number, beta: number] | undefined {
  switch (node.op) {
    case 'Relu':
      return [eltwise.relu, 0, 0];
    case 'LeakyRelu':
      return [eltwise.relu, numberOf(node.attributes, 'alpha', 0.01), 0];
    case 'Elu':
      return [eltwise.elu, numberOf(node.attributes, 'alpha', 1), 0];
    case 'Abs':
      return [eltwise.abs, 0, 0];
    case 'Sqrt':
      return [eltwise.sqrt, 0, 0];
    case 'Exp':
      return [eltwise.exp, 0, 0];
    case 'Log':
      return [eltwise.log, 0, 0];
    case 'Tanh':
      return [eltwise.tanh, 0, 0];
    case 'Sigmoid':
      return [eltwise.logistic, 0, 0];
    case 'Softplus':
      return [eltwise.softplus, 0, 0];
    case 'HardSwish':
      return [eltwise.hardSwish, 0, 0];
    case 'Mish':
      return [eltwise.mish, 0, 0];
    case 'Neg':
      return [eltwise.linear, -1, 0];
    case 'Reciprocal':
      return [eltwise.power, 1, -1];
    case 'Clip': {
      const bound = (index: number, otherwise: number): number | undefined =>
        node.inputs[index] ? e.scalar(node.inputs[index]) : otherwise;
      const low = bound(1, -3.4e38),
        high = bound(2, 3.4e38);
      return low === undefined || high === undefined ? undefined : [eltwise.clip, low, high];
    }
    default:
      return undefined;
  }
}

/** y = f(x) by the library, in the layout that x has. */
function callUnary(
  e: Emitter,
  node: Node,
  x: string,
  [algorithm, alpha, beta]: readonly [number, number, number],
): boolean {
  const layout = e.layoutOf(x) ?? e.held(x).layout;
  const operation = layout && e.dnnl.eltwise(algorithm, layout, alpha, beta);
  if (!operation) return false;
  const from = e.as(x, layout),
    to = e.result(node.outputs[0]!, layout);
  e.call(operation, {
    name: node.name,
    kind: node.op,
    reads: [[argument.source, from]],
    writes: [[argument.output, to]],
    inPlace: [[to, from]],
  });
  return true;
}

const isFloat = (e: Emitter, name: string): boolean => e.value(name).dtype === 'float32';
const count = (e: Emitter, name: string): number => sizeOf(e.value(name).shape);
const sameShape = (e: Emitter, a: string, b: string): boolean => e.value(a).shape.join() === e.value(b).shape.join();

/** Bounds of the Clip (or Relu) that made a value. */
export function boundsOf(e: Emitter, name: string): { low: number; high: number } | undefined {
  const node = e.producer(name);
  if (node?.op === 'Relu') return { low: 0, high: Infinity };
  if (node?.op !== 'Clip') return undefined;
  const bound = (index: number, otherwise: number): number | undefined =>
    node.inputs[index] ? e.scalar(node.inputs[index]) : otherwise;
  const [low, high] = [bound(1, -Infinity), bound(2, Infinity)];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/**
 * The clipped y behind sign((y - low) (high - y)) or, of a Relu, sign(y): how gradients write 1
 * strictly between the bounds, else 0.
 */
export function maskOf(
  e: Emitter,
  sign: Node,
): { readonly y: string; readonly low: number; readonly high: number; readonly nodes: readonly Node[] } | undefined {
  const z = sign.inputs[0]!,
    own = boundsOf(e, z);
  if (own?.low === 0 && own.high === Infinity) return { y: z, low: 0, high: Infinity, nodes: [sign] };
  const product = e.producer(z);
  if (product?.op !== 'Mul') return undefined;
  const below = e.producer(product.inputs[1]!),
    negated = below?.op === 'Add' ? e.producer(below.inputs[0]!) : undefined;
  if (!below || negated?.op !== 'Neg') return undefined;
  const y = negated.inputs[0]!,
    bounds = boundsOf(e, y);
  if (
    !bounds ||
    !Number.isFinite(bounds.low) ||
    !Number.isFinite(bounds.high) ||
    e.scalar(below.inputs[1]!) !== bounds.high
  )
    return undefined;
  const above = product.inputs[0] === y ? undefined : e.producer(product.inputs[0]!);
  const isAbove = above
    ? above.op === 'Sub' && above.inputs[0] === y && e.scalar(above.inputs[1]!) === bounds.low
    : bounds.low === 0;
  return isAbove ? { y, ...bounds, nodes: [sign, product, below, negated, ...(above ? [above] : [])] } : undefined;
}

/** dy * mask as the library's gradient of Relu or Clip, from the result. */
export function maskedGradient(
  e: Emitter,
  node: Node,
  dy: string,
  mask: { readonly y: string; readonly low: number; readonly high: number },
): boolean {
  const { y, low, high } = mask;
  if (!sameShape(e, dy, y)) return false;
  const layout = e.layoutOf(y) ?? e.held(y).layout;
  const isRelu = high === Infinity;
  const operation =
    layout &&
    e.dnnl.eltwiseGradient(
      isRelu ? eltwise.reluOfResult : eltwise.clipOfResult,
      layout,
      layout,
      isRelu ? 0 : low,
      isRelu ? 0 : high,
    );
  if (!operation) return false;
  const gradient = e.as(dy, layout),
    result = e.as(y, layout),
    to = e.result(node.outputs[0]!, layout);
  e.call(operation, {
    name: node.name,
    kind: isRelu ? 'gradient of Relu' : 'gradient of Clip',
    reads: [
      [argument.outputGradient, gradient],
      [argument.output, result],
    ],
    writes: [[argument.sourceGradient, to]],
    inPlace: [[to, gradient]],
  });
  return true;
}

/**
 * The layout for the result of an op on values of one shape: that of the state, else any that is
 * not row-major.
 */
export function commonLayout(e: Emitter, names: readonly string[]): Layout | undefined {
  const layouts = names.map((name) => e.layoutOf(name)).filter((layout) => layout !== undefined);
  return layouts.find((layout) => !layout.isPlain) ?? layouts[0] ?? e.held(names[0]!).layout;
}

/** A whole activation as a step on a result before it is written; all of them keep zeros. */
export const activationBy = (node: Node): PostOp | undefined =>
  node.op !== 'Activation'
    ? undefined
    : {
        kind: 'eltwise',
        algorithm: numberOf(node.attributes, 'algorithm', 0),
        alpha: numberOf(node.attributes, 'alpha', 0),
        beta: numberOf(node.attributes, 'beta', 0),
      };

const binaryAlgorithms: Readonly<Record<string, number>> = {
  Add: binary.add,
  Sub: binary.subtract,
  Mul: binary.multiply,
  Div: binary.divide,
  Max: binary.max,
  Min: binary.min,
};

/** The Relu or Clip that alone reads a sum, as a step on the sum before it is written. */
function clippedBehind(e: Emitter, node: Node): { readonly clip: Node; readonly postOp: PostOp } | undefined {
  const sum = node.outputs[0]!,
    [clip] = e.readers(sum);
  const postOp = clip && e.uses(sum) === 1 && !e.grouped.has(clip) ? clippedBy(e, clip) : undefined;
  return clip && postOp ? { clip, postOp } : undefined;
}

/**
 * A Relu or a Clip that keeps zeros as a step on a result before it is written: the padding of
 * layouts stays zero.
 */
export function clippedBy(e: Emitter, clip: Node): PostOp | undefined {
  const bounds = boundsOf(e, clip.outputs[0]!);
  if (!bounds || bounds.low > 0 || bounds.high < 0) return undefined;
  if (bounds.low === 0 && bounds.high === Infinity)
    return { kind: 'eltwise', algorithm: eltwise.relu, alpha: 0, beta: 0 };
  if (!Number.isFinite(bounds.low) || !Number.isFinite(bounds.high)) return undefined;
  return { kind: 'eltwise', algorithm: eltwise.clip, alpha: bounds.low, beta: bounds.high };
}

/**
 * A result of an op of two values of one shape, by the library, with the Relu or Clip behind it.
 */
function callBinary(e: Emitter, node: Node): boolean {
  const [a, b] = node.inputs as [string, string],
    algorithm = binaryAlgorithms[node.op];
  if (algorithm === undefined || !sameShape(e, a, b)) return false;
  const layout = commonLayout(e, [a, b]),
    behind = clippedBehind(e, node);
  if (!layout) return false;
  // 2.6.3 computes a wrong result where the layout has padding
  const fused =
    behind && elementsOf(layout) === count(e, a) && e.dnnl.binary(algorithm, layout, layout, layout, [behind.postOp]);
  const operation = fused || e.dnnl.binary(algorithm, layout, layout, layout);
  if (!operation) return false;
  const last = fused && behind ? behind.clip : node;
  const first = e.as(a, layout),
    second = e.as(b, layout),
    to = e.result(last.outputs[0]!, layout);
  e.call(operation, {
    name: last.name,
    kind: fused ? `${node.op} and ${last.op}` : node.op,
    reads: [
      [argument.source, first],
      [argument.source1, second],
    ],
    writes: [[argument.output, to]],
    inPlace: [
      [to, first],
      [to, second],
    ],
  });
  if (fused) e.done(last);
  return true;
}

/**
 * The layout of [N, C, 1, 1] with channels as in another's: what the library gives a mean over all
 * pixels.
 */
function layoutPerChannel(e: Emitter, layout: Layout): Layout | undefined {
  const mean = meanOverPixels(e, layout);
  const found = mean?.layout(argument.output);
  mean?.release();
  return found;
}

/**
 * A gate or a bias per image and channel, [N, C, 1, 1], by the library in the blocked layout that
 * both have.
 */
export function callPerChannel(e: Emitter, node: Node): boolean {
  const output = node.outputs[0]!,
    { shape } = e.value(output),
    algorithm = binaryAlgorithms[node.op];
  const [a, b] = (
    node.op === 'Sub' || node.op === 'Div' ? node.inputs : [...node.inputs].sort((x, y) => count(e, y) - count(e, x))
  ) as [string, string];
  if (
    algorithm === undefined ||
    node.inputs.length !== 2 ||
    shape.length !== 4 ||
    sizeOf(shape) < large ||
    e.value(a).shape.join() !== shape.join()
  )
    return false;
  if (e.value(b).shape.join() !== [...shape.slice(0, 2), 1, 1].join()) return false;
  const layout = e.layoutOf(a),
    each = layout?.order?.at(-1)?.axis === 1 ? layoutPerChannel(e, layout) : undefined;
  const operation = layout && each && e.dnnl.binary(algorithm, layout, each, layout);
  if (!operation) return false;
  const first = e.as(a, layout),
    second = e.as(b, each),
    to = e.result(output, layout);
  e.call(operation, {
    name: node.name,
    kind: `${node.op} per channel`,
    reads: [
      [argument.source, first],
      [argument.source1, second],
    ],
    writes: [[argument.output, to]],
    inPlace: [[to, first]],
  });
  return true;
}

/** With a number that is known: alpha x + beta. */
function linearOf(
  e: Emitter,
  node: Node,
): { readonly x: string; readonly alpha: number; readonly beta: number } | undefined {
  const [a, b] = node.inputs as [string, string],
    [left, right] = [e.scalar(a), e.scalar(b)];
  if (right !== undefined) {
    if (node.op === 'Add') return { x: a, alpha: 1, beta: right };
    if (node.op === 'Sub') return { x: a, alpha: 1, beta: -right };
    if (node.op === 'Mul') return { x: a, alpha: right, beta: 0 };
    if (node.op === 'Div') return { x: a, alpha: 1 / right, beta: 0 };
  } else if (left !== undefined) {
    if (node.op === 'Add') return { x: b, alpha: 1, beta: left };
    if (node.op === 'Sub') return { x: b, alpha: -1, beta: left };
    if (node.op === 'Mul') return { x: b, alpha: left, beta: 0 };
  }
  return undefined;
}

const data = (place: Place): Float32Array => place.data as Float32Array;

/**
 * For every element of the result, where an operand's is; undefined for one of the same shape, a
 * number for a single element.
 */
function indicesOf(e: Emitter, name: string, shape: readonly number[]): Int32Array | 'one' | undefined {
  const own = e.value(name).shape;
  if (own.join() === shape.join()) return undefined;
  if (sizeOf(own) === 1) return 'one';
  return offsets(shape, broadcastStrides(own, shape));
}

/** Loops in TypeScript, for short vectors and what the library does not do. */
function loop(e: Emitter, node: Node): boolean {
  const output = node.outputs[0]!,
    { shape } = e.value(output);
  if (node.inputs.some((name) => !name || !isFloat(e, name)) || !isFloat(e, output)) return false;
  const one = node.inputs.length === 1 ? unary[node.op] : undefined,
    two = node.inputs.length === 2 ? dyadic[node.op] : undefined;
  if (one) {
    const from = e.plain(node.inputs[0]!),
      to = e.result(output);
    e.step({
      name: node.name,
      kind: `${node.op} loop`,
      reads: [from],
      writes: [to],
      inPlace: [[to, from]],
      run: () => {
        const a = data(from),
          out = data(to);
        for (let i = 0; i < out.length; i++) out[i] = one(a[i]!);
      },
    });
    return true;
  }
  if (!two) return false;
  const [first, second] = node.inputs as [string, string];
  const left = e.plain(first),
    right = e.plain(second),
    to = e.result(output);
  const [at, bt] = [indicesOf(e, first, shape), indicesOf(e, second, shape)];
  const inPlace = [
    ...(at === undefined ? [[to, left] as const] : []),
    ...(bt === undefined ? [[to, right] as const] : []),
  ];
  e.step({
    name: node.name,
    kind: `${node.op} loop`,
    reads: [left, right],
    writes: [to],
    inPlace,
    run: () => {
      const a = data(left),
        b = data(right),
        out = data(to);
      if (at === undefined && bt === undefined) for (let i = 0; i < out.length; i++) out[i] = two(a[i]!, b[i]!);
      else if (at === undefined && bt === 'one') for (let i = 0, y = b[0]!; i < out.length; i++) out[i] = two(a[i]!, y);
      else if (at === 'one' && bt === undefined) for (let i = 0, x = a[0]!; i < out.length; i++) out[i] = two(x, b[i]!);
      else {
        for (let i = 0; i < out.length; i++) {
          out[i] = two(
            a[at === undefined ? i : at === 'one' ? 0 : at[i]!]!,
            b[bt === undefined ? i : bt === 'one' ? 0 : bt[i]!]!,
          );
        }
      }
    },
  });
  return true;
}

const oneInput: Lowering = (e, node) => {
  const x = node.inputs[0]!;
  if (isFloat(e, x) && count(e, x) >= large) {
    const algorithm = algorithmOf(e, node);
    if (algorithm && callUnary(e, node, x, algorithm)) return true;
  }
  return loop(e, node);
};

const twoInputs: Lowering = (e, node) => {
  const [a, b] = node.inputs as [string, string],
    output = node.outputs[0]!;
  if (node.inputs.length === 2 && isFloat(e, a) && isFloat(e, b) && count(e, output) >= large) {
    const linear = linearOf(e, node);
    if (
      linear &&
      sameShape(e, linear.x, output) &&
      callUnary(e, node, linear.x, [eltwise.linear, linear.alpha, linear.beta])
    )
      return true;
    if (node.op === 'Mul') {
      for (const [dy, sign] of [
        [a, b],
        [b, a],
      ] as const) {
        const producer = e.producer(sign);
        const mask = producer?.op === 'Sign' ? maskOf(e, producer) : undefined;
        if (mask && maskedGradient(e, node, dy, mask)) return true;
      }
    }
    if (callBinary(e, node)) return true;
  }
  return loop(e, node);
};

/** y = f(x) of a whole activation (activations.ts). */
const Activation: Lowering = (e, node) =>
  callUnary(e, node, node.inputs[0]!, [
    numberOf(node.attributes, 'algorithm', 0),
    numberOf(node.attributes, 'alpha', 0),
    numberOf(node.attributes, 'beta', 0),
  ]);

/** dx = dy f'(x). */
const ActivationGrad: Lowering = (e, node) => {
  const [dy, x] = node.inputs as [string, string],
    layout = e.layoutOf(x) ?? e.held(x).layout;
  const operation =
    layout &&
    e.dnnl.eltwiseGradient(
      numberOf(node.attributes, 'algorithm', 0),
      layout,
      layout,
      numberOf(node.attributes, 'alpha', 0),
      numberOf(node.attributes, 'beta', 0),
    );
  if (!operation) return false;
  const gradient = e.as(dy, layout),
    from = e.as(x, layout),
    to = e.result(node.outputs[0]!, layout);
  e.call(operation, {
    name: node.name,
    kind: 'gradient of an activation',
    reads: [
      [argument.outputGradient, gradient],
      [argument.source, from],
    ],
    writes: [[argument.sourceGradient, to]],
    inPlace: [[to, gradient]],
  });
  return true;
};

const ones = [
  'Neg',
  'Abs',
  'Sqrt',
  'Exp',
  'Log',
  'Tanh',
  'Sign',
  'Reciprocal',
  'Sigmoid',
  'Relu',
  'Floor',
  'Ceil',
  'Sin',
  'Cos',
  'Softplus',
  'LeakyRelu',
  'Elu',
  'HardSwish',
  'Mish',
  'Clip',
];

/** Elementwise ops. */
export const elementwise: Readonly<Record<string, Lowering>> = {
  Activation,
  ActivationGrad,
  ...Object.fromEntries(ones.map((op) => [op, oneInput])),
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min'].map((op) => [op, twoInputs])),
};
