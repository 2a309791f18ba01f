import { fromFront, numberOf } from '../../../graph/attributes.js';
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import { argument } from '../library/dnnl.js';
import type { Emitter, Facts } from '../emitter.js';
import type { Place } from '../memory/places.js';
import { floatsWhere, lowering, type Lowering, type Lowerings } from './lowering.js';

/** A place for an output that may be absent. */
const outputOr = (e: Emitter, name: string | undefined, dims: readonly number[]): Place =>
  name ? e.result(name) : e.scratch(e.dnnl.plain(dims));

/** Without the library's fused form the Relu and its gradient are nodes like others. */
function unfused(e: Emitter, node: Node): false {
  const fusion = e.fusions.get(node);
  if (fusion) e.fusions = new Map([...e.fusions].filter(([, other]) => other !== fusion));
  return false;
}

const BatchNormalization: Lowering['write'] = (e, node) => {
  const [x, scale, shift, mean, variance] = node.inputs as [string, string, string, string, string];
  const layout = e.held(x).layout,
    given = numberOf(node.attributes, 'training_mode', 0) === 0,
    momentum = numberOf(node.attributes, 'momentum', 0.9);
  const fusion = e.fusions.get(node),
    relu = fusion !== undefined;
  const operation =
    layout && e.dnnl.batchNormalization(layout, { epsilon: numberOf(node.attributes, 'epsilon', 1e-5), given, relu });
  if (!operation) return unfused(e, node);
  const channels = [e.value(x).shape[1]!],
    from = e.held(x),
    parameters = [e.plain(scale), e.plain(shift)] as const;
  const keep = !given && momentum !== 0;
  const old = given || keep ? ([e.plain(mean), e.plain(variance)] as const) : undefined;
  const to = e.result((fusion?.relu ?? node).outputs[0]!, layout);
  const positive: [number, Place][] = [];
  if (fusion) {
    fusion.positive = e.scratch(operation.layout(argument.workspace));
    positive.push([argument.workspace, fusion.positive]);
    for (const other of [fusion.relu, ...fusion.absorbed]) e.done(other);
  }
  const statistics = given
    ? old!
    : keep
      ? ([e.scratch(e.dnnl.plain(channels)), e.scratch(e.dnnl.plain(channels))] as const)
      : ([outputOr(e, node.outputs[1], channels), outputOr(e, node.outputs[2], channels)] as const);
  const moments = [
    [argument.mean, statistics[0]],
    [argument.variance, statistics[1]],
  ] as const;
  e.call(operation, {
    name: node.name,
    kind: fusion ? 'BatchNormalization and Relu' : 'BatchNormalization',
    reads: [
      [argument.source, from],
      [argument.scale, parameters[0]],
      [argument.shift, parameters[1]],
      ...(given ? moments : []),
    ],
    writes: [[argument.output, to], ...(given ? [] : moments), ...positive],
    inPlace: [[to, from]],
  });
  if (!keep) return true;
  for (const index of [0, 1] as const) {
    // running = momentum * running + (1 - momentum) * own
    const name = node.outputs[index + 1];
    if (!name) continue;
    const next = e.result(name),
      before = old![index],
      own = statistics[index];
    e.step({
      name: node.name,
      kind: 'running statistics',
      reads: [before, own],
      writes: [next],
      run: () => {
        const a = before.data as Float32Array,
          b = own.data as Float32Array,
          out = next.data as Float32Array;
        for (let i = 0; i < out.length; i++) out[i] = momentum * a[i]! + (1 - momentum) * b[i]!;
      },
    });
  }
  return true;
};

const BatchNormalizationGrad: Lowering['write'] = (e, node) => {
  const [dy, x, scale, mean, variance] = node.inputs as [string, string, string, string, string];
  const fusion = e.fusions.get(node),
    positive = fusion?.positive;
  const layout = e.held(x).layout,
    given = numberOf(node.attributes, 'training_mode', 0) === 0;
  const operation =
    layout &&
    e.dnnl.batchNormalizationGradient(layout, layout, {
      epsilon: numberOf(node.attributes, 'epsilon', 1e-5),
      given,
      relu: positive !== undefined,
    });
  if (!operation) return false;
  const channels = [e.value(x).shape[1]!],
    gradient = e.as(fusion && positive ? fusion.gradient : dy, layout),
    from = e.held(x);
  const reads = [
    [argument.source, from],
    [argument.outputGradient, gradient],
    [argument.scale, e.plain(scale)],
    ...(e.dnnl.wantsShift ? [[argument.shift, e.plain(scale)] as const] : []),
    [argument.mean, e.plain(mean)],
    [argument.variance, e.plain(variance)],
    ...(positive ? [[argument.workspace, positive] as const] : []),
  ] as const;
  const dx = node.outputs[0] ? e.result(node.outputs[0], layout) : e.scratch(layout);
  e.call(operation, {
    name: node.name,
    kind: positive ? 'BatchNormalizationGrad and Relu' : 'BatchNormalizationGrad',
    reads,
    writes: [
      [argument.sourceGradient, dx],
      [argument.scaleGradient, outputOr(e, node.outputs[1], channels)],
      [argument.shiftGradient, outputOr(e, node.outputs[2], channels)],
    ],
    inPlace: [[dx, gradient]],
  });
  return true;
};

/** The library normalises over the last axis: [outer, inner] then. */
function rows(facts: Facts, x: string, axis: number): { readonly outer: number; readonly inner: number } {
  const { shape } = facts.value(x),
    from = fromFront(axis, shape.length);
  return { outer: sizeOf(shape.slice(0, from)), inner: sizeOf(shape.slice(from)) };
}

/** out = f(x), elementwise over a short row-major vector. */
function map(e: Emitter, name: string, from: Place, to: Place, f: (value: number) => number): void {
  e.step({
    name,
    kind: 'statistics',
    reads: [from],
    writes: [to],
    run: () => {
      const a = from.data as Float32Array,
        out = to.data as Float32Array;
      for (let i = 0; i < out.length; i++) out[i] = f(a[i]!);
    },
  });
}

const LayerNormalization: Lowering['write'] = (e, node) => {
  const [x, scale, bias] = node.inputs as [string, string, string];
  const { outer, inner } = rows(e, x, numberOf(node.attributes, 'axis', -1)),
    epsilon = numberOf(node.attributes, 'epsilon', 1e-5);
  const source = e.rowMajor(x),
    data = e.dnnl.plain([outer, inner], source.layout!.type),
    moments = e.dnnl.plain([outer]);
  const operation = e.dnnl.layerNormalization(data, moments, epsilon);
  if (!operation) return false;
  const from = e.view(source, data),
    factors = e.plain(scale),
    shift = e.plain(bias);
  const to = e.result(node.outputs[0]!, source.layout),
    y = e.view(to, data),
    mean = e.scratch(moments),
    variance = e.scratch(moments);
  e.call(operation, {
    name: node.name,
    kind: 'LayerNormalization',
    reads: [
      [argument.source, from],
      [argument.scale, factors],
      [argument.shift, shift],
    ],
    writes: [
      [argument.output, y],
      [argument.mean, mean],
      [argument.variance, variance],
    ],
  });
  if (node.outputs[1]) e.share(node.outputs[1], mean);
  if (node.outputs[2])
    map(e, node.name, variance, e.result(node.outputs[2]), (value) => 1 / Math.sqrt(value + epsilon));
  return true;
};

const LayerNormalizationGrad: Lowering['write'] = (e, node) => {
  const [dy, x, scale, mean, inverse] = node.inputs as [string, string, string, string, string];
  const { outer, inner } = rows(e, x, numberOf(node.attributes, 'axis', -1));
  const source = e.rowMajor(x),
    data = e.dnnl.plain([outer, inner], source.layout!.type),
    moments = e.dnnl.plain([outer]);
  const operation = e.dnnl.layerNormalizationGradient(data, data, moments, 0);
  if (!operation) return false;
  const gradient = e.view(e.as(dy, source.layout!), data),
    from = e.view(source, data),
    factors = e.plain(scale);
  const centre = e.view(e.plain(mean), moments),
    factor = e.view(e.plain(inverse), moments),
    variance = e.scratch(moments);
  map(e, node.name, factor, variance, (value) => 1 / (value * value)); // epsilon is in it already
  const dx = e.view(node.outputs[0] ? e.result(node.outputs[0], source.layout) : e.scratch(data), data);
  e.call(operation, {
    name: node.name,
    kind: 'LayerNormalizationGrad',
    reads: [
      [argument.source, from],
      [argument.outputGradient, gradient],
      [argument.scale, factors],
      [argument.shift, factors],
      [argument.mean, centre],
      [argument.variance, variance],
    ],
    writes: [
      [argument.sourceGradient, dx],
      [argument.scaleGradient, outputOr(e, node.outputs[1], [inner])],
      [argument.shiftGradient, outputOr(e, node.outputs[2], [inner])],
    ],
  });
  return true;
};

/** Whether values have a number for each element of a row. */
function fitRows(facts: Facts, node: Node, x: string, values: readonly (string | undefined)[]): boolean {
  const { inner } = rows(facts, x, numberOf(node.attributes, 'axis', -1));
  return values.every((name) => Boolean(name) && sizeOf(facts.value(name!).shape) === inner);
}

/** Normalisations and their gradients. */
export const normalization: Lowerings = {
  BatchNormalization: lowering(BatchNormalization),
  BatchNormalizationGrad: lowering(BatchNormalizationGrad),
  LayerNormalization: lowering(
    LayerNormalization,
    floatsWhere((facts, node) => fitRows(facts, node, node.inputs[0]!, [node.inputs[1], node.inputs[2]])),
  ),
  LayerNormalizationGrad: lowering(
    LayerNormalizationGrad,
    floatsWhere((facts, node) => fitRows(facts, node, node.inputs[1]!, [node.inputs[2]])),
  ),
};
