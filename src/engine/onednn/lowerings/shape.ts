import { axisOf, listOf } from '../../../graph/attributes.js';
import { evaluateNode } from '../../../graph/evaluate.js';
import { stridesOf } from '../../../graph/evaluate/dense.js';
import { sizeOf, tensor, type DataType } from '../../../tensor.js';
import { argument, type Layout } from '../library/dnnl.js';
import type { Emitter, Facts } from '../emitter.js';
import { lowerPixels } from '../patterns/pixels.js';
import type { Place } from '../memory/places.js';
import { always, floatsWhere, hasConstantRest, lowering, type Lowering, type Lowerings } from './lowering.js';

/** The same elements in the same order. */
const sameBytes: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    y = node.outputs[0]!;
  e.share(y, node.op === 'Identity' ? e.held(x) : e.rowMajor(x));
  return true;
};

const Transpose: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    { shape, dtype } = e.value(x),
    y = node.outputs[0]!;
  if (dtype !== 'float32' || sizeOf(shape) === 0) return moved(e, node);
  const permutation = listOf(node.attributes, 'perm') ?? shape.map((_, axis) => shape.length - 1 - axis),
    strides = stridesOf(shape);
  const given = e.rowMajor(x),
    { type } = given.layout!;
  const from = e.dnnl.strided(
    permutation.map((axis) => shape[axis]!),
    permutation.map((axis) => strides[axis]!),
    type,
  );
  const to = e.dnnl.plain(e.value(y).shape, type);
  if (from.key === to.key) return sameBytes(e, node);
  const operation = e.dnnl.reorder(from, to);
  if (!operation) return false;
  const source = e.view(given, from),
    target = e.result(y, to);
  e.call(operation, {
    name: node.name,
    kind: 'Transpose',
    reads: [[argument.source, source]],
    writes: [[argument.output, target]],
  });
  return true;
};

const Concat: Lowering['write'] = (e, node) => {
  const y = node.outputs[0]!,
    { shape } = e.value(y),
    axis = axisOf(node.attributes, shape.length, 0);
  const parts = node.inputs.filter((name) => hasElements(e, name));
  const layouts = parts.map((name) => e.layoutOf(name) ?? e.held(name).layout!);
  const type = layouts.some((layout) => layout.type === 'bf16') ? 'bf16' : 'f32';
  const wanted = layouts.every((layout) => !layout.isRowMajor && layout.type === type)
    ? layouts
    : parts.map((name) => e.dnnl.plain(e.value(name).shape, type));
  // left to the library, an axis of one element makes it choose an order that nothing else has
  const isRowMajor = wanted.every((layout) => layout.isRowMajor);
  const operation = e.dnnl.concat(axis, wanted, isRowMajor ? e.dnnl.plain(shape, type) : e.dnnl.any(shape, type));
  if (!operation) return false;
  const places = parts.map((name, i) => e.as(name, wanted[i]!)),
    to = e.result(y, operation.layout(argument.output));
  e.call(operation, {
    name: node.name,
    kind: 'Concat',
    reads: places.map((place, i) => [argument.several + i, place] as const),
    writes: [[argument.output, to]],
  });
  return true;
};

/**
 * Ops that only move elements: where each comes from is found once, by the reference on an array of
 * positions (from 1; 0 is what padding puts there).
 */
const moved: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    { shape, dtype } = e.value(x);
  const rest = node.inputs.slice(1).map((name) => (name === '' ? undefined : e.constant(name)));
  const count = sizeOf(shape);
  let fill = 0;
  const others = [...rest];
  if (node.op === 'Pad') {
    // its number replaces position 0
    fill = rest[1] ? Number(rest[1].data[0]) : 0;
    others.splice(1, 1);
  }
  const positions = tensor(
    'float64',
    shape,
    Float64Array.from({ length: count }, (_, i) => i + 1),
  );
  const outputs = evaluateNode(node, [positions, ...others], { float64: true });
  const from = fill === 0 ? e.rowMajor(x) : e.plain(x);
  node.outputs.forEach((name, index) => {
    if (name === '') return;
    const map = Int32Array.from(outputs[index]!.data as Float64Array, (position) => position - 1),
      to = e.result(name, sameType(e, from, name));
    const isWide = dtype === 'int64' || dtype === 'uint64',
      runs = runsOf(map);
    e.step({
      name: node.name,
      kind: node.op,
      reads: [from],
      writes: [to],
      run: () => (isWide ? moveWide : move)(from, to, runs, fill),
    });
  });
  return true;
};

/** Row-major in the type of another place. */
const sameType = (e: Emitter, from: Place, name: string): Layout | undefined =>
  from.layout?.type === 'bf16' ? e.dnnl.plain(e.value(name).shape, 'bf16') : undefined;

/**
 * Elements that lie one after the other in both tensors: the first of each run in the source, -1
 * for padding.
 */
interface Runs {
  readonly length: number;
  readonly starts: Int32Array;
}

function runsOf(map: Int32Array): Runs {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let length = map.length;
  for (let i = 1; i < map.length && length > 1; i++) {
    if (map[i] !== (map[i - 1]! < 0 ? -1 : map[i - 1]! + 1)) length = divisor(length, i);
  }
  return { length, starts: map.filter((_, i) => i % length === 0) };
}

/** Elements of a run from which a copy by the system is faster than a loop. */
const long = 48;

function move(from: Place, to: Place, { length, starts }: Runs, fill: number): void {
  const source = from.data as Float32Array,
    target = to.data as Float32Array;
  for (let i = 0, at = 0; i < starts.length; i++, at += length) {
    const start = starts[i]!;
    if (start < 0) target.fill(fill, at, at + length);
    else if (length >= long) target.set(source.subarray(start, start + length), at);
    else for (let k = 0; k < length; k++) target[at + k] = source[start + k]!;
  }
}

function moveWide(from: Place, to: Place, { length, starts }: Runs, fill: number): void {
  const source = from.data as BigInt64Array,
    target = to.data as BigInt64Array;
  for (let i = 0, at = 0; i < starts.length; i++, at += length) {
    const start = starts[i]!;
    if (start < 0) target.fill(BigInt(fill), at, at + length);
    else target.set(source.subarray(start, start + length), at);
  }
}

/** Parts along an axis: one run of each outer element. */
const Split: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    { shape, dtype } = e.value(x),
    axis = axisOf(node.attributes, shape.length, 0);
  if (node.outputs.includes('') || dtype === 'int64' || dtype === 'uint64' || sizeOf(shape) === 0)
    return moved(e, node);
  const outer = sizeOf(shape.slice(0, axis)),
    inner = sizeOf(shape.slice(axis + 1)),
    from = e.rowMajor(x);
  let before = 0;
  for (const name of node.outputs) {
    const size = e.value(name).shape[axis]!,
      first = before * inner,
      to = e.result(name, sameType(e, from, name));
    before += size;
    if (size === 0) continue;
    const runs: Runs = {
      length: size * inner,
      starts: Int32Array.from({ length: outer }, (_, i) => i * shape[axis]! * inner + first),
    };
    e.step({ name: node.name, kind: node.op, reads: [from], writes: [to], run: () => move(from, to, runs, 0) });
  }
  return true;
};

/** Indices as the second input may come late: then rows are copied. */
const Gather: Lowering['write'] = (e, node) => {
  const [x, indices] = node.inputs as [string, string];
  if (e.constant(indices)) return moved(e, node);
  const { shape } = e.value(x),
    axis = axisOf(node.attributes, shape.length, 0),
    size = shape[axis]!;
  const outer = sizeOf(shape.slice(0, axis)),
    inner = sizeOf(shape.slice(axis + 1)),
    picks = sizeOf(e.value(indices).shape);
  const from = e.plain(x),
    which = e.plain(indices),
    to = e.result(node.outputs[0]!);
  e.step({
    name: node.name,
    kind: 'Gather',
    reads: [from, which],
    writes: [to],
    run: () => {
      const source = from.data as Float32Array,
        target = to.data as Float32Array,
        list = which.data;
      for (let o = 0; o < outer; o++) {
        for (let p = 0; p < picks; p++) {
          const index = Number(list[p]),
            row = (o * size + (index < 0 ? index + size : index)) * inner;
          target.set(source.subarray(row, row + inner), (o * picks + p) * inner);
        }
      }
    },
  });
  return true;
};

/** Types that a loop over typed arrays converts as ONNX does. */
const simple = new Set(['float32', 'uint8', 'int8', 'int32', 'uint16', 'int16', 'bool']);

const Cast: Lowering['write'] = (e, node) => {
  const [x] = node.inputs as [string],
    [y] = node.outputs as [string],
    from = e.value(x).dtype,
    to = e.value(y).dtype;
  if (from === to) return sameBytes(e, node);
  if (lowerPixels(e, node)) return true;
  const source = e.plain(x),
    target = e.result(y);
  e.step({
    name: node.name,
    kind: 'Cast',
    reads: [source],
    writes: [target],
    run: () => (target.data as Float32Array).set(source.data as Uint8Array),
  });
  return true;
};

const hasElements = (facts: Facts, name: string): boolean => sizeOf(facts.value(name).shape) > 0;

/** Whether a loop of ours, or none, changes the type. */
const isSimpleCast: Lowering['applies'] = (facts, { inputs, outputs }) => {
  const [from, to] = [inputs[0]!, outputs[0]!].map((name) => facts.value(name).dtype) as [DataType, DataType];
  return from === to || (to === 'float32' && simple.has(from));
};

const rows = (ops: readonly string[], row: Lowering): Lowerings => Object.fromEntries(ops.map((op) => [op, row]));

/** Ops that move elements or change their type. */
export const shape: Lowerings = {
  ...rows(
    ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout'],
    lowering(sameBytes, (_, { outputs }) => outputs.length === 1),
  ),
  ...rows(
    ['Slice', 'Pad', 'Expand', 'Tile', 'GatherElements', 'GatherND', 'DepthToSpace', 'SpaceToDepth', 'Trilu'],
    lowering(moved, hasConstantRest),
  ),
  Transpose: lowering(Transpose, always),
  Split: lowering(Split, hasConstantRest),
  Concat: lowering(
    Concat,
    floatsWhere((facts, { inputs }) => inputs.some((name) => hasElements(facts, name))),
  ),
  Gather: lowering(Gather, always),
  Cast: lowering(Cast, isSimpleCast),
};
