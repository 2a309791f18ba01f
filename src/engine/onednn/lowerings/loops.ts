import { axisOf, fromFront, listOf, numberOf } from '../../../graph/attributes.js';
import { broadcastStrides, offsets, stridesOf } from '../../../graph/evaluate/dense.js';
import { comparisons } from '../../../graph/evaluate/functions.js';
import { resizeMatrix } from '../../../graph/evaluate/resampling.js';
import type { Node } from '../../../graph/graph.js';
import { numbersOf, sizeOf } from '../../../tensor.js';
import type { Emitter, Facts } from '../emitter.js';
import { areFloats, lowering, type Lowering, type Lowerings } from './lowering.js';
import { loopOverBoth } from './plain-loops.js';

/** Loops in TypeScript for ops that the library does not have, or not in a form that is used here. */

/** Where each element of the result is in an operand that is broadcast. */
const placesOf = (e: Emitter, name: string, shape: readonly number[]): Int32Array =>
  offsets(shape, broadcastStrides(e.value(name).shape, shape));

const Where: Lowering['write'] = (e, node) => {
  const [condition, a, b] = node.inputs as [string, string, string],
    output = node.outputs[0]!,
    { shape } = e.value(output);
  const [which, left, right] = [e.plain(condition), e.plain(a), e.plain(b)],
    to = e.result(output);
  const [at, leftAt, rightAt] = [condition, a, b].map((name) => placesOf(e, name, shape)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  e.step({
    name: node.name,
    kind: 'Where loop',
    reads: [which, left, right],
    writes: [to],
    run: () => {
      const c = which.data as Uint8Array,
        x = left.data as Float32Array,
        y = right.data as Float32Array,
        out = to.data as Float32Array;
      for (let i = 0; i < out.length; i++) out[i] = c[at[i]!]! !== 0 ? x[leftAt[i]!]! : y[rightAt[i]!]!;
    },
  });
  return true;
};

const hasFloatBranches: Lowering['applies'] = (facts, { inputs }) =>
  inputs.slice(1).every((name) => facts.value(name).dtype === 'float32');

/** What a reduction of one number after the other starts from, does and ends with. */
interface Fold {
  readonly start: number;
  readonly add: (sum: number, x: number) => number;
  readonly end?: (sum: number) => number;
}

const folds: Readonly<Record<string, Fold>> = {
  ReduceL1: { start: 0, add: (sum, x) => sum + Math.abs(x) },
  ReduceL2: { start: 0, add: (sum, x) => sum + x * x, end: Math.sqrt },
  ReduceSumSquare: { start: 0, add: (sum, x) => sum + x * x },
  ReduceMax: { start: -Infinity, add: (most, x) => (x > most || Number.isNaN(x) ? x : most) },
  ReduceMin: { start: Infinity, add: (least, x) => (x < least || Number.isNaN(x) ? x : least) },
};

const reduce: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    { shape } = e.value(x),
    { start, add, end } = folds[node.op]!;
  const listed = listOf(node.attributes, 'axes') ?? [],
    axes = listed.length === 0 ? shape.map((_, axis) => axis) : listed.map((axis) => fromFront(axis, shape.length));
  const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
    places = offsets(shape, broadcastStrides(kept, shape)),
    sums = new Float64Array(sizeOf(kept));
  const from = e.plain(x),
    to = e.result(node.outputs[0]!);
  e.step({
    name: node.name,
    kind: `${node.op} loop`,
    reads: [from],
    writes: [to],
    run: () => {
      const source = from.data as Float32Array,
        out = to.data as Float32Array;
      sums.fill(start);
      for (let i = 0; i < places.length; i++) sums[places[i]!] = add(sums[places[i]!]!, source[i]!);
      for (let i = 0; i < out.length; i++) out[i] = end ? end(sums[i]!) : sums[i]!;
    },
  });
  return true;
};

const reducesAll: Lowering['applies'] = (facts, node) =>
  areFloats(facts, node) && node.inputs.length === 1 && sizeOf(facts.value(node.inputs[0]!).shape) > 0;

const InstanceNormalization: Lowering['write'] = (e, node) => {
  const [x, scale, bias] = node.inputs as [string, string, string],
    [images, channels, ...space] = e.value(x).shape as [number, number, ...number[]];
  const plane = sizeOf(space),
    epsilon = numberOf(node.attributes, 'epsilon', 1e-5);
  const [from, factor, shift] = [e.plain(x), e.plain(scale), e.plain(bias)],
    to = e.result(node.outputs[0]!);
  e.step({
    name: node.name,
    kind: 'InstanceNormalization loop',
    reads: [from, factor, shift],
    writes: [to],
    run: () => {
      const source = from.data as Float32Array,
        out = to.data as Float32Array;
      for (let group = 0; group < images * channels; group++) {
        const first = group * plane,
          end = first + plane;
        let mean = 0,
          variance = 0;
        for (let i = first; i < end; i++) mean += source[i]!;
        mean /= plane;
        for (let i = first; i < end; i++) variance += (source[i]! - mean) ** 2;
        const rate = (factor.data as Float32Array)[group % channels]! / Math.sqrt(variance / plane + epsilon),
          rest = (shift.data as Float32Array)[group % channels]!;
        for (let i = first; i < end; i++) out[i] = (source[i]! - mean) * rate + rest;
      }
    },
  });
  return true;
};

/** Reads where update `i` goes: the first of `length` elements. */
type Place = (indices: ArrayLike<number | bigint>, i: number) => number;

/** A copy of the data, with the updates put or added in their places in runs of `length`. */
function scattered(e: Emitter, node: Node, length: number, place: Place): boolean {
  const [from, which, updates] = node.inputs.map((name) => e.plain(name)) as [
    ReturnType<Emitter['plain']>,
    ReturnType<Emitter['plain']>,
    ReturnType<Emitter['plain']>,
  ];
  const to = e.result(node.outputs[0]!),
    isSum = node.attributes.reduction === 'add';
  e.step({
    name: node.name,
    kind: `${node.op} loop`,
    reads: [from, which, updates],
    writes: [to],
    run: () => {
      const added = updates.data as Float32Array,
        indices = which.data as ArrayLike<number | bigint>,
        out = to.data as Float32Array;
      out.set(from.data as Float32Array);
      for (let i = 0, at = 0; at < added.length; i++) {
        const first = place(indices, i);
        for (let k = 0; k < length; k++, at++) out[first + k] = isSum ? out[first + k]! + added[at]! : added[at]!;
      }
    },
  });
  return true;
}

const ScatterElements: Lowering['write'] = (e, node) => {
  const [x, indices] = node.inputs as [string, string],
    { shape } = e.value(x),
    strides = stridesOf(shape),
    axis = axisOf(node.attributes, shape.length, 0);
  const base = offsets(
    e.value(indices).shape,
    strides.map((stride, i) => (i === axis ? 0 : stride)),
  );
  return scattered(e, node, 1, (list, i) => base[i]! + fromFront(Number(list[i]), shape[axis]!) * strides[axis]!);
};

const ScatterND: Lowering['write'] = (e, node) => {
  const [x, indices] = node.inputs as [string, string],
    { shape } = e.value(x),
    strides = stridesOf(shape),
    depth = e.value(indices).shape.at(-1)!;
  return scattered(e, node, sizeOf(shape.slice(depth)), (list, i) => {
    let first = 0;
    for (let k = 0; k < depth; k++) first += fromFront(Number(list[i * depth + k]), shape[k]!) * strides[k]!;
    return first;
  });
};

const putsOrAdds: Lowering['applies'] = (facts, { inputs, attributes }) =>
  [inputs[0]!, inputs[2]!].every((name) => facts.value(name).dtype === 'float32') &&
  ['none', 'add'].includes(String(attributes.reduction ?? 'none'));

/** The taps of a Resize along one axis: of output o those from `starts[o]` to `starts[o + 1]`. */
interface Taps {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
  readonly starts: Int32Array;
  readonly places: Int32Array;
  readonly weights: Float64Array;
}

function tapsAlong(facts: Facts, node: Node, shape: readonly number[], axis: number): Taps {
  const size = shape[axis]!,
    output = facts.value(node.outputs[0]!).shape[axis]!,
    scales = node.inputs[2] ? numbersOf(facts.constant(node.inputs[2])!) : [];
  const { data } = resizeMatrix(size, output, scales[axis] ?? output / size, node.attributes);
  const starts = new Int32Array(output + 1),
    places: number[] = [];
  for (let o = 0; o < output; o++) {
    for (let i = 0; i < size; i++) if (data[o * size + i] !== 0) places.push(i);
    starts[o + 1] = places.length;
  }
  const weights = new Float64Array(places.length);
  for (let o = 0; o < output; o++)
    for (let t = starts[o]!; t < starts[o + 1]!; t++) weights[t] = data[o * size + places[t]!]!;
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  return { outer, size, inner, starts, places: Int32Array.from(places), weights };
}

function resample(from: Float32Array, to: Float32Array, { outer, size, inner, starts, places, weights }: Taps): void {
  const output = starts.length - 1;
  to.fill(0);
  for (let n = 0; n < outer; n++) {
    for (let o = 0; o < output; o++) {
      const target = (n * output + o) * inner;
      for (let t = starts[o]!; t < starts[o + 1]!; t++) {
        const source = (n * size + places[t]!) * inner,
          weight = weights[t]!;
        for (let i = 0; i < inner; i++) to[target + i]! += weight * from[source + i]!;
      }
    }
  }
}

/** Axis after axis, those that keep their size left out. */
const Resize: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    [output] = node.outputs as [string],
    target = e.value(output).shape,
    shape = [...e.value(x).shape];
  const passes = shape.flatMap((size, axis) => {
    if (size === target[axis]) return [];
    const taps = tapsAlong(e, node, shape, axis);
    shape[axis] = target[axis]!;
    return [taps];
  });
  const from = e.plain(x),
    to = e.result(output);
  const between = passes.slice(1).map(({ outer, size, inner }) => new Float32Array(outer * size * inner));
  e.step({
    name: node.name,
    kind: 'Resize loop',
    reads: [from],
    writes: [to],
    run: () => {
      let source = from.data as Float32Array;
      passes.forEach((taps, i) => {
        const next = between[i] ?? (to.data as Float32Array);
        resample(source, next, taps);
        source = next;
      });
      if (passes.length === 0) (to.data as Float32Array).set(source);
    },
  });
  return true;
};

const isPlainResize: Lowering['applies'] = (facts, { inputs, attributes }) =>
  facts.value(inputs[0]!).dtype === 'float32' &&
  inputs.slice(1).every((name) => name === '' || facts.constant(name) !== undefined) &&
  listOf(attributes, 'axes') === undefined &&
  numberOf(attributes, 'antialias', 0) === 0 &&
  attributes.coordinate_transformation_mode !== 'tf_crop_and_resize';

const comparesFloats: Lowering['applies'] = (facts, { inputs }) =>
  inputs.every((name) => facts.value(name).dtype === 'float32');

export const loops: Lowerings = {
  Where: lowering(Where, hasFloatBranches),
  ...Object.fromEntries(
    ['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual'].map((op) => [
      op,
      lowering((e, node) => loopOverBoth(e, node, comparisons[op]!), comparesFloats),
    ]),
  ),
  ...Object.fromEntries(Object.keys(folds).map((op) => [op, lowering(reduce, reducesAll)])),
  InstanceNormalization: lowering(InstanceNormalization),
  ScatterElements: lowering(ScatterElements, putsOrAdds),
  ScatterND: lowering(ScatterND, putsOrAdds),
  Resize: lowering(Resize, isPlainResize),
};
