import { activationGradients, activations } from '../../../graph/activations.js';
import { numberOf, textOf } from '../../../graph/attributes.js';
import {
  activationGradient,
  binaryFunctions,
  clipGradient,
  maximum,
  minimum,
  unaryOf,
  unaryOps,
  type Binary,
  type Unary,
} from '../../../graph/evaluate/functions.js';
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import { argument, binary as algorithms, elementsOf, eltwise, type Layout, type PostOp } from '../library/dnnl.js';
import { boundsOf, callClipGrad, clipGradOf, clippedBehind } from './clips.js';
import { floatsWhere, hasConstantRest, haveSameShape, lowering, type Lowering, type Lowerings } from './lowering.js';
import { loopOver, loopOverBoth } from './plain-loops.js';
import { meanOverPixels } from './sums.js';

/** Elements from which a call of the library pays. */
const large = 8192;

/** The library's algorithm for an op of one input, with its two parameters. */
function algorithmOf(
  e: Emitter,
  node: Pick<Node, 'op' | 'inputs' | 'attributes'>,
): readonly [algorithm: number, alpha: number, beta: number] | undefined {
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
    case 'Swish':
      return [eltwise.swish, numberOf(node.attributes, 'alpha', 1), 0];
    case 'Gelu':
      return [textOf(node.attributes, 'approximate', 'none') === 'tanh' ? eltwise.geluTanh : eltwise.geluErf, 0, 0];
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

const count = (e: Emitter, name: string): number => sizeOf(e.value(name).shape);

/**
 * The layout for the result of an op on values of one shape: that of the state, else any that is
 * not row-major.
 */
export function commonLayout(e: Emitter, names: readonly string[]): Layout | undefined {
  const layouts = names.map((name) => e.layoutOf(name)).filter((layout) => layout !== undefined);
  return layouts.find((layout) => !layout.isPlain) ?? layouts[0] ?? e.held(names[0]!).layout;
}

/** A whole activation as a step on a result before it is written; all of them keep zeros. */
export function activationBy(e: Emitter, node: Node): PostOp | undefined {
  if (!(node.op in activations)) return undefined;
  const [algorithm, alpha, beta] = algorithmOf(e, node)!;
  return { kind: 'eltwise', algorithm, alpha, beta };
}

const binaryAlgorithms: Readonly<Record<string, number>> = {
  Add: algorithms.add,
  Sub: algorithms.subtract,
  Mul: algorithms.multiply,
  Div: algorithms.divide,
  Max: algorithms.max,
  Min: algorithms.min,
};

/**
 * A result of an op of two values of one shape, by the library, with the Relu or Clip behind it.
 */
function callBinary(e: Emitter, node: Node): boolean {
  const [a, b] = node.inputs as [string, string],
    algorithm = binaryAlgorithms[node.op];
  if (algorithm === undefined || !haveSameShape(e, a, b)) return false;
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

const oneInput: Lowering['write'] = (e, node) => {
  const x = node.inputs[0]!;
  if (count(e, x) >= large) {
    const algorithm = algorithmOf(e, node);
    if (algorithm && callUnary(e, node, x, algorithm)) return true;
  }
  const f = node.op === 'Clip' ? clipOf(e, node) : unaryOf(node.op, node.attributes);
  return f !== undefined && loopOver(e, node, f);
};

function clipOf(e: Emitter, node: Node): Unary | undefined {
  const bounds = boundsOf(e, node.outputs[0]!);
  return bounds && ((x) => minimum(bounds.high, maximum(bounds.low, x)));
}

const twoInputs: Lowering['write'] = (e, node) => {
  const output = node.outputs[0]!;
  if (count(e, output) >= large) {
    const linear = linearOf(e, node);
    if (
      linear &&
      haveSameShape(e, linear.x, output) &&
      callUnary(e, node, linear.x, [eltwise.linear, linear.alpha, linear.beta])
    )
      return true;
    if (callBinary(e, node)) return true;
  }
  return loopOverBoth(e, node, binary[node.op]!);
};

const ClipGrad: Lowering['write'] = (e, node) => {
  const { y, low, high } = clipGradOf(node);
  if (count(e, y) >= large && callClipGrad(e, node)) return true;
  return loopOverBoth(e, node, (dy, clipped) => clipGradient(dy, clipped, low, high));
};

/** dx = dy f'(x) of the activation `op`. */
const activationGrad =
  (op: string): Lowering['write'] =>
  (e, node) =>
    (count(e, node.inputs[1]!) >= large && callActivationGrad(e, node, op)) ||
    loopOverBoth(e, node, activationGradient(op, node.attributes)!);

function callActivationGrad(e: Emitter, node: Node, op: string): boolean {
  const [dy, x] = node.inputs as [string, string],
    [algorithm, alpha, beta] = algorithmOf(e, { ...node, op })!,
    layout = e.layoutOf(x) ?? e.held(x).layout;
  const operation = layout && e.dnnl.eltwiseGradient(algorithm, layout, layout, alpha, beta);
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
}

const binary: Readonly<Record<string, Binary>> = { ...binaryFunctions, Max: maximum, Min: minimum };

/** Elementwise ops. */
export const elementwise: Lowerings = {
  ...Object.fromEntries([...activationGradients].map(([op, gradient]) => [gradient, lowering(activationGrad(op))])),
  ClipGrad: lowering(ClipGrad),
  ...Object.fromEntries(unaryOps.map((op) => [op, lowering(oneInput)])),
  Clip: lowering(oneInput, floatsWhere(hasConstantRest)),
  ...Object.fromEntries(
    Object.keys(binary).map((op) => [
      op,
      lowering(
        twoInputs,
        floatsWhere((_, { inputs }) => inputs.length === 2),
      ),
    ]),
  ),
};
