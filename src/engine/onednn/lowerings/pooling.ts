import { numberOf, requiredList } from '../../../graph/attributes.js';
import { windowOf } from '../../../graph/window.js';
import type { Node } from '../../../graph/graph.js';
import { argument, pooling as algorithms, type Layout, type WindowShape } from '../library/dnnl.js';
import type { Emitter, Facts } from '../emitter.js';
import type { Place } from '../memory/places.js';
import { floatsWhere, lowering, type Lowering, type Lowerings } from './lowering.js';

interface Pool {
  readonly kernel: readonly number[];
  readonly window: WindowShape;
  /** Windows reach beyond the padding that the graph gives. */
  readonly isLonger: boolean;
}

function poolOf(node: Node, spatial: readonly number[], isGlobal: boolean): Pool {
  const { kernel, strides, dilations, begin, end, output } = windowOf(
    isGlobal ? {} : node.attributes,
    spatial,
    isGlobal ? spatial : undefined,
  );
  // with ceil_mode the last window may need more
  const needed = output.map(
    (size, i) => (size - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1 - spatial[i]! - begin[i]!,
  );
  return {
    kernel,
    isLonger: needed.some((pad, i) => pad > end[i]!),
    window: { strides, dilations, begin, end: end.map((pad, i) => Math.max(pad, needed[i]!)) },
  };
}

/** Where the largest elements were, by name of the result, for the gradient. */
const positions = new WeakMap<
  Emitter,
  Map<string, { readonly place: Place; readonly source: Layout; readonly output: Layout }>
>();

const averaging = (node: Node): number =>
  numberOf(node.attributes, 'count_include_pad', 0) === 1
    ? algorithms.averageWithPadding
    : algorithms.averageWithoutPadding;

const forward =
  (kind: 'max' | 'average', isGlobal: boolean): Lowering['write'] =>
  (e, node) => {
    const [x] = node.inputs as [string],
      [y] = node.outputs as [string];
    const { layout } = e.held(x),
      dims = e.value(x).shape,
      pool = poolOf(node, dims.slice(2), isGlobal);
    const algorithm = kind === 'max' ? algorithms.max : averaging(node);
    if (!layout) return false;
    const operation = e.dnnl.pool(
      algorithm,
      layout,
      e.dnnl.any(e.value(y).shape, layout.type),
      pool.kernel,
      pool.window,
    );
    if (!operation) return false;
    const output = operation.layout(argument.output),
      from = e.held(x),
      to = e.result(y, output);
    const writes: [number, Place][] = [[argument.output, to]];
    if (kind === 'max') {
      const place = e.scratch(operation.layout(argument.workspace));
      writes.push([argument.workspace, place]);
      if (!positions.has(e)) positions.set(e, new Map());
      positions.get(e)!.set(y, { place, source: layout, output });
    }
    e.call(operation, { name: node.name, kind: node.op, reads: [[argument.source, from]], writes });
    return true;
  };

const MaxPoolGrad: Lowering['write'] = (e, node) => {
  const [x, y, dy] = node.inputs as [string, string, string];
  const known = positions.get(e)?.get(y);
  if (!known) return false;
  const { kernel, window } = poolOf(node, e.value(x).shape.slice(2), false);
  const operation = e.dnnl.poolGradient(algorithms.max, known.source, known.output, kernel, window);
  if (!operation) return false;
  const gradient = e.as(dy, known.output),
    to = e.result(node.outputs[0]!, known.source);
  e.call(operation, {
    name: node.name,
    kind: node.op,
    reads: [
      [argument.outputGradient, gradient],
      [argument.workspace, known.place],
    ],
    writes: [[argument.sourceGradient, to]],
  });
  return true;
};

const AveragePoolGrad: Lowering['write'] = (e, node) => {
  const [dy] = node.inputs as [string],
    dims = requiredList(node.attributes, 'input_shape'),
    pool = poolOf(node, dims.slice(2), false);
  const { layout } = e.held(dy),
    algorithm = averaging(node);
  if (!layout) return false;
  const operation = e.dnnl.poolGradient(algorithm, e.dnnl.any(dims, layout.type), layout, pool.kernel, pool.window);
  if (!operation) return false;
  const gradient = e.held(dy),
    to = e.result(node.outputs[0]!, operation.layout(argument.sourceGradient));
  e.call(operation, {
    name: node.name,
    kind: node.op,
    reads: [[argument.outputGradient, gradient]],
    writes: [[argument.sourceGradient, to]],
  });
  return true;
};

/** The library has no positions for the caller. */
const hasOneOutput: Lowering['applies'] = (_, { outputs }) => outputs.filter((name) => name !== '').length === 1;

/** Windows beyond the padding have fewer elements to take the mean of than the library divides by. */
const averagesAll =
  (dimsOf: (facts: Facts, node: Node) => readonly number[]): Lowering['applies'] =>
  (facts, node) =>
    averaging(node) !== algorithms.averageWithPadding || !poolOf(node, dimsOf(facts, node).slice(2), false).isLonger;

/** Pools and their gradients. */
export const pooling: Lowerings = {
  MaxPool: lowering(forward('max', false), floatsWhere(hasOneOutput)),
  GlobalMaxPool: lowering(forward('max', true)),
  AveragePool: lowering(
    forward('average', false),
    floatsWhere(averagesAll((facts, { inputs }) => facts.value(inputs[0]!).shape)),
  ),
  GlobalAveragePool: lowering(forward('average', true)),
  MaxPoolGrad: lowering(MaxPoolGrad),
  AveragePoolGrad: lowering(
    AveragePoolGrad,
    floatsWhere(averagesAll((_, { attributes }) => requiredList(attributes, 'input_shape'))),
  ),
};
