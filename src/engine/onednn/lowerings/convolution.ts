import { listOf, numberOf } from '../../../graph/attributes.js';
import { transposedWindow } from '../../../graph/evaluate/convolution.js';
import type { Attributes, Node } from '../../../graph/graph.js';
import { windowOf } from '../../../graph/window.js';
import type { Candidate } from '../choices/choices.js';
import {
  argument,
  binary,
  type ConvolutionMethod,
  type ConvolutionPart,
  type DnnlType,
  type Layout,
  type Operation,
  type PostOp,
  type WindowShape,
} from '../library/dnnl.js';
import type { Emitter, Facts } from '../emitter.js';
import type { Place } from '../memory/places.js';
import { weightGradientBySamples } from './depthwise.js';
import { clippedBy } from './clips.js';
import { activationBy } from './elementwise.js';
import { floatsWhere, lowering, type Lowering, type Lowerings } from './lowering.js';

interface Shapes {
  readonly source: readonly number[];
  /** As in the graph: [filters, channels / group, ...kernel]. */
  readonly weights: readonly number[];
  readonly output: readonly number[];
  readonly group: number;
  readonly window: WindowShape;
}

const roles: Readonly<Record<ConvolutionPart, readonly [source: number, weights: number, output: number]>> = {
  'forward': [argument.source, argument.weights, argument.output],
  'input gradient': [argument.sourceGradient, argument.weights, argument.outputGradient],
  'weight gradient': [argument.source, argument.weightsGradient, argument.outputGradient],
};

/** With groups the library wants an axis of its own for them. */
const groupedDims = ({ weights, group }: Shapes): readonly number[] =>
  group === 1 ? weights : [group, weights[0]! / group, ...weights.slice(1)];

/** Winograd's F(4x4, 3x3) is for 3x3 filters that go over every pixel. */
const mayUseWinograd = ({ weights, group, window }: Shapes): boolean =>
  group === 1 &&
  weights.length === 4 &&
  weights[2] === 3 &&
  weights[3] === 3 &&
  weights[0]! >= 16 &&
  weights[1]! >= 16 &&
  window.strides.every((stride) => stride === 1) &&
  window.dilations.every((dilation) => dilation === 1);

/** Types of the library's tensors; a gradient of filters stays in float32. */
function typesOf(
  part: ConvolutionPart,
  method: ConvolutionMethod,
  made: DnnlType,
): Readonly<Record<'source' | 'weights' | 'output', DnnlType>> {
  if (method !== 'bfloat16') return { source: 'f32', weights: 'f32', output: 'f32' };
  return {
    source: part === 'input gradient' ? made : 'bf16',
    weights: part === 'weight gradient' ? 'f32' : 'bf16',
    output: part === 'forward' ? made : 'bf16',
  };
}

/**
 * In bfloat16, other ways take tensors that must be converted first, and afterwards; filters are
 * small.
 */
function conversions(operation: Operation, part: ConvolutionPart, halved: Operation): (readonly [Layout, Layout])[] {
  return roles[part].flatMap((which): (readonly [Layout, Layout])[] => {
    const [own, other] = [operation.layout(which), halved.layout(which)];
    if (own.type === other.type) return [];
    const isMade = which === argument.output || which === argument.sourceGradient;
    return [isMade ? [own, other] : [other, own]];
  });
}

function choose(
  e: Emitter,
  part: ConvolutionPart,
  shapes: Shapes,
  bias: Layout | undefined,
  made: string,
): Candidate | undefined {
  const type = e.typeOf(made),
    methods: ConvolutionMethod[] = ['direct'];
  if (mayUseWinograd(shapes)) methods.push('winograd');
  if (e.isHalved) methods.unshift('bfloat16');
  const list = [...roles[part], ...(bias ? [part === 'forward' ? argument.bias : argument.biasGradient] : [])];
  let candidates = methods.flatMap((method): Candidate[] => {
    const types = typesOf(part, method, type);
    const layouts = {
      source: e.dnnl.any(shapes.source, types.source),
      weights: e.dnnl.any(groupedDims(shapes), types.weights),
      output: e.dnnl.any(shapes.output, types.output),
      ...(bias ? { bias } : {}),
    };
    const operation = e.dnnl.convolution(part, method, layouts, shapes.window);
    return operation ? [{ method, operation, arguments: list }] : [];
  });
  const [halved] = candidates;
  if (!halved) return undefined;
  if (halved.method === 'bfloat16') {
    candidates = candidates.map((candidate) =>
      candidate === halved
        ? halved
        : { ...candidate, conversions: conversions(candidate.operation, part, halved.operation) },
    );
  }
  const {
    window: { strides, begin, end },
  } = shapes;
  const key =
    `${halved.method === 'bfloat16' ? 'bfloat16 ' : ''}convolution ${part} ` +
    `${shapes.source.join('x')} by ${shapes.weights.join('x')}, ` +
    `strides ${strides.join('x')}, pads ${[...begin, ...end].join()}${bias ? ', bias' : ''}`;
  return e.choices.fastest(key, candidates);
}

function weightsAs(e: Emitter, name: string, layout: Layout, shapes: Shapes): Place {
  if (shapes.group === 1) return e.as(name, layout);
  const grouped = e.view(e.plain(name), e.dnnl.plain(groupedDims(shapes)));
  return grouped.layout!.key === layout.key ? grouped : e.reorder(grouped, layout, name);
}

/**
 * Master weights lie as their gradient does: the update is then one loop without reorders, the
 * copies in bfloat16 are reorders anyway.
 */
function preferGradient(e: Emitter, x: string, w: string, shapes: Shapes): void {
  if (shapes.group !== 1) return;
  const gradient = e
    .readers(x)
    .find(
      (node) =>
        node.op === 'ConvGradWeight' &&
        node.inputs[0] === x &&
        e.value(node.outputs[0]!).shape.join() === shapes.weights.join(),
    );
  if (!gradient) return;
  const bias = biasGradient(e, gradient, gradient.inputs[1]!) ? e.dnnl.plain([shapes.output[1]!]) : undefined;
  const operation = choose(e, 'weight gradient', shapes, bias, gradient.outputs[0]!)?.operation,
    layout = operation?.layout(argument.weightsGradient);
  operation?.release();
  if (layout?.order) e.prefer(w, layout);
}

const Conv: Lowering['write'] = (e, node) => {
  const [x, w, bias] = node.inputs as [string, string, string?];
  const source = e.value(x).shape,
    weights = e.value(w).shape,
    output = e.value(node.outputs[0]!).shape;
  const shapes: Shapes = {
    source,
    weights,
    output,
    group: numberOf(node.attributes, 'group', 1),
    window: windowOf(node.attributes, source.slice(2), weights.slice(2)),
  };
  if (e.isHalved) preferGradient(e, x, w, shapes);
  const biasPlace = bias ? e.plain(bias) : undefined;
  const chosen = choose(e, 'forward', shapes, biasPlace?.layout, node.outputs[0]!);
  if (!chosen) return false;
  const behind = chainBehind(e, node, chosen.operation.layout(argument.output).type),
    last = behind.at(-1)?.node ?? node;
  const fused = behind.length > 0 ? withSteps(e, chosen, shapes, biasPlace?.layout, behind) : undefined;
  const operation = fused ?? chosen.operation,
    made = fused ? last : node;
  if (fused) chosen.operation.release();
  const from = e.as(x, operation.layout(argument.source)),
    filters = weightsAs(e, w, operation.layout(argument.weights), shapes);
  const written = operation.layout(argument.output);
  const others = fused
    ? behind.flatMap(({ other }, i) => (other ? [[e.dnnl.postOpArgument(i), e.as(other, written)] as const] : []))
    : [];
  const to = e.result(made.outputs[0]!, written);
  e.call(operation, {
    name: made.name,
    kind: [`Conv ${chosen.method}`, ...(fused ? behind.map((step) => step.node.op) : [])].join(' and '),
    reads: [
      [argument.source, from],
      [argument.weights, filters],
      ...(biasPlace ? [[argument.bias, biasPlace] as const] : []),
      ...others,
    ],
    writes: [[argument.output, to]],
  });
  if (fused) for (const step of behind) e.done(step.node);
  return true;
};

/**
 * An Add, a Relu, a Clip or another activation that alone reads a result, as a step of the
 * convolution before it is written.
 */
interface StepBehind {
  readonly node: Node;
  /** The other operand of an Add. */
  readonly other?: string;
  readonly postOp: (output: Layout) => PostOp;
}

function chainBehind(e: Emitter, conv: Node, type: DnnlType): StepBehind[] {
  const chain: StepBehind[] = [];
  for (let name = conv.outputs[0]!; ;) {
    const [node] = e.readers(name),
      clip =
        node && !e.grouped.has(node) && e.uses(name) === 1 ? (clippedBy(e, node) ?? activationBy(e, node)) : undefined;
    const other = node?.inputs.find((input) => input !== name);
    const isSum =
      node?.op === 'Add' &&
      chain.length === 0 &&
      e.uses(name) === 1 &&
      !e.grouped.has(node) &&
      other !== undefined &&
      e.isMade(other) &&
      e.value(other).shape.join() === e.value(name).shape.join() &&
      (e.layoutOf(other)?.type ?? 'f32') === type;
    if (node && clip) chain.push({ node, postOp: () => clip });
    else if (isSum)
      chain.push({ node, other, postOp: (output) => ({ kind: 'binary', algorithm: binary.add, other: output }) });
    else return chain;
    if (clip) return chain;
    name = node.outputs[0]!;
  }
}

/** The same convolution with steps behind it, where the library has it. */
function withSteps(
  e: Emitter,
  { method, operation }: Candidate,
  shapes: Shapes,
  bias: Layout | undefined,
  steps: readonly StepBehind[],
): Operation | undefined {
  const layouts = {
    source: operation.layout(argument.source),
    weights: operation.layout(argument.weights),
    output: operation.layout(argument.output),
    ...(bias ? { bias } : {}),
  };
  const fused = e.dnnl.convolution(
    'forward',
    method,
    layouts,
    shapes.window,
    steps.map(({ postOp }) => postOp(layouts.output)),
  );
  if (fused && fused.implementation === operation.implementation) return fused;
  fused?.release();
  return undefined;
}

/** The adjoint of a convolution with these attributes: of dy and filters the gradient of its input. */
function adjoint(e: Emitter, node: Node, attributes: Attributes): boolean {
  const [dy, w] = node.inputs as [string, string];
  const source = e.value(node.outputs[0]!).shape,
    weights = e.value(w).shape,
    output = e.value(dy).shape;
  const shapes: Shapes = {
    source,
    weights,
    output,
    group: numberOf(attributes, 'group', 1),
    window: windowOf(attributes, source.slice(2), weights.slice(2)),
  };
  const chosen = choose(e, 'input gradient', shapes, undefined, node.outputs[0]!);
  if (!chosen) return false;
  const { operation } = chosen;
  const from = e.as(dy, operation.layout(argument.outputGradient)),
    filters = weightsAs(e, w, operation.layout(argument.weights), shapes);
  const to = e.result(node.outputs[0]!, operation.layout(argument.sourceGradient));
  e.call(operation, {
    name: node.name,
    kind: `${node.op} ${chosen.method}`,
    reads: [
      [argument.outputGradient, from],
      [argument.weights, filters],
    ],
    writes: [[argument.sourceGradient, to]],
  });
  return true;
}

const ConvGradInput: Lowering['write'] = (e, node) => adjoint(e, node, node.attributes);

/** A transposed convolution is the adjoint of one. */
const forwardOf = (facts: Facts, { inputs, attributes }: Node): Attributes =>
  transposedWindow(attributes, facts.value(inputs[0]!).shape.slice(2), facts.value(inputs[1]!).shape.slice(2))
    .attributes;

const ConvTranspose: Lowering['write'] = (e, node) => adjoint(e, node, forwardOf(e, node));

/** The convolution gives the sizes of x again, and adds no bias. */
const isAdjoint: Lowering['applies'] = (facts, node) => {
  const [x, w, bias] = node.inputs as [string, string, string?];
  const { output } = windowOf(
    forwardOf(facts, node),
    facts.value(node.outputs[0]!).shape.slice(2),
    facts.value(w).shape.slice(2),
  );
  return !bias && output.join() === facts.value(x).shape.slice(2).join();
};

/** The sum of dy over all but the channels, which the library finds along the way. */
function biasGradient(e: Emitter, node: Node, dy: string): Node | undefined {
  if (e.readers(dy).find(({ op }) => op === 'ConvGradWeight') !== node) return undefined; // one of several
  return e.readers(dy).find((reader) => {
    if (reader.op !== 'ReduceSum' || e.isDone(reader) || numberOf(reader.attributes, 'keepdims', 1) !== 0) return false;
    const axes = reader.inputs[1] ? e.constant(reader.inputs[1]) : undefined;
    return (
      axes !== undefined &&
      Array.from(axes.data as ArrayLike<number | bigint>, Number).join() ===
        e
          .value(dy)
          .shape.map((_, axis) => axis)
          .filter((axis) => axis !== 1)
          .join()
    );
  });
}

/** Code that is not made for the shape: many times slower than what is. */
const isFallback = (implementation: string): boolean => /gemm|ref/.test(implementation);

/** A gradient of filters in groups, row-major: its bytes are those of the graph's. */
function asGrouped(e: Emitter, made: Place, shapes: Shapes, name: string): Place {
  const grouped = e.dnnl.plain(groupedDims(shapes));
  return made.layout!.key === grouped.key ? made : e.reorder(made, grouped, name);
}

const ConvGradWeight: Lowering['write'] = (e, node) => {
  const [x, dy] = node.inputs as [string, string];
  const source = e.value(x).shape,
    weights = e.value(node.outputs[0]!).shape,
    output = e.value(dy).shape;
  const window = windowOf(node.attributes, source.slice(2), listOf(node.attributes, 'kernel_shape'));
  const shapes: Shapes = { source, weights, output, group: numberOf(node.attributes, 'group', 1), window };
  const sum = biasGradient(e, node, dy),
    bias = sum ? e.dnnl.plain([output[1]!]) : undefined;
  const chosen = choose(e, 'weight gradient', shapes, bias, node.outputs[0]!);
  if (!chosen) return false;
  const { operation } = chosen;
  const isDepthwise = shapes.group > 1 && shapes.group === weights[0] && weights[1] === 1 && shapes.group === source[1];
  const bySamples =
    isDepthwise && isFallback(operation.implementation)
      ? weightGradientBySamples(e, shapes, x, dy, node.name)
      : undefined;
  if (bySamples) {
    operation.release();
    e.share(node.outputs[0]!, asGrouped(e, bySamples, shapes, node.name));
    return true;
  }
  const from = e.as(x, operation.layout(argument.source)),
    gradient = e.as(dy, operation.layout(argument.outputGradient));
  const layout = operation.layout(argument.weightsGradient);
  const made = shapes.group === 1 ? e.result(node.outputs[0]!, layout) : e.scratch(layout);
  e.call(operation, {
    name: node.name,
    kind: `ConvGradWeight ${chosen.method}`,
    reads: [
      [argument.source, from],
      [argument.outputGradient, gradient],
    ],
    writes: [
      [argument.weightsGradient, made],
      ...(sum ? [[argument.biasGradient, e.result(sum.outputs[0]!)] as const] : []),
    ],
  });
  if (sum) e.done(sum);
  if (shapes.group !== 1) e.share(node.outputs[0]!, asGrouped(e, made, shapes, node.name));
  return true;
};

/** Convolutions and their gradients. */
export const convolutions: Lowerings = {
  Conv: lowering(Conv),
  ConvTranspose: lowering(ConvTranspose, floatsWhere(isAdjoint)),
  ConvGradInput: lowering(ConvGradInput),
  ConvGradWeight: lowering(ConvGradWeight),
};
