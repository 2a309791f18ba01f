import { numbersOf, type Tensor } from '../../tensor.js';
import type { Attributes, Dim, Value } from '../graph.js';
import { addDims, divideDims, multiplyDims, subtractDims } from './dims.js';

/**
 * A small integer tensor whose elements are numbers or sizes known by name: what shape arithmetic
 * computes with.
 */
export interface Integers {
  readonly dims: readonly number[];
  readonly elements: readonly Dim[];
}

/** Larger tensors are data, not shapes. */
const largest = 256;

/**
 * The elements of a constant tensor of integers (or of whole floats: exporters compute sizes in
 * floats, too).
 */
export function integersOf(t: Tensor): Integers | undefined {
  if (t.data.length > largest) return undefined;
  const elements = numbersOf(t);
  return elements.every(Number.isFinite) ? { dims: t.dims, elements } : undefined;
}

export interface IntegerNode {
  readonly op: string;
  readonly attributes: Attributes;
}

type Rule = (
  node: IntegerNode,
  inputs: readonly (Integers | undefined)[],
  values: readonly (Value | undefined)[],
) => Integers | undefined;

const vector = (elements: readonly Dim[]): Integers => ({ dims: [elements.length], elements });
const scalarOf = (x: Integers | undefined): Dim | undefined => (x?.elements.length === 1 ? x.elements[0] : undefined);
const numeric = (x: Integers | undefined): readonly number[] | undefined =>
  x?.elements.every((e) => typeof e === 'number') ? x.elements : undefined;

/** Two operands of the same length, or one of them a single element. */
function combine(operation: (a: Dim, b: Dim) => Dim | undefined): Rule {
  return (_node, [a, b]) => {
    if (!a || !b) return undefined;
    const long = a.elements.length >= b.elements.length ? a : b;
    if (a.elements.length !== b.elements.length && a.elements.length !== 1 && b.elements.length !== 1) return undefined;
    if (long.dims.length < Math.max(a.dims.length, b.dims.length) || long.dims.length > 1)
      return elementwiseSameRank(a, b, operation);
    const at = (x: Integers, i: number): Dim => x.elements[x.elements.length === 1 ? 0 : i]!;
    const elements = long.elements.map((_, i) => operation(at(a, i), at(b, i)));
    return elements.includes(undefined) ? undefined : { dims: long.dims, elements: elements as Dim[] };
  };
}

function elementwiseSameRank(
  a: Integers,
  b: Integers,
  operation: (a: Dim, b: Dim) => Dim | undefined,
): Integers | undefined {
  if (a.dims.length !== b.dims.length || a.dims.some((dim, i) => dim !== b.dims[i])) return undefined;
  const elements = a.elements.map((x, i) => operation(x, b.elements[i]!));
  return elements.includes(undefined) ? undefined : { dims: a.dims, elements: elements as Dim[] };
}

const onNumbers =
  (operation: (a: number, b: number) => number) =>
  (a: Dim, b: Dim): Dim | undefined =>
    typeof a === 'number' && typeof b === 'number' ? operation(a, b) : undefined;

const clampIndex = (index: number, low: number, high: number): number => Math.min(Math.max(index, low), high);

const sameElements: Rule = (_node, [x]) => x;

/** Along axis 0 of a vector; other ranks are left to the evaluator when they are constant. */
const slice: Rule = (_node, [x, starts, ends, axes, steps]) => {
  const [from, to, step] = [scalarOf(starts), scalarOf(ends), steps ? scalarOf(steps) : 1];
  if (
    !x ||
    x.dims.length !== 1 ||
    typeof from !== 'number' ||
    typeof to !== 'number' ||
    typeof step !== 'number' ||
    step === 0
  )
    return undefined;
  if (axes && ![0, -1].includes(scalarOf(axes) as number)) return undefined;
  const size = x.elements.length;
  const absolute = (index: number): number => (index < 0 ? index + size : index);
  const out: Dim[] = [];
  if (step > 0)
    for (let i = clampIndex(absolute(from), 0, size); i < clampIndex(absolute(to), 0, size); i += step)
      out.push(x.elements[i]!);
  else
    for (
      let i = clampIndex(absolute(from), 0, size - 1);
      i > (to < -size ? -1 : clampIndex(absolute(to), -1, size - 1));
      i += step
    )
      out.push(x.elements[i]!);
  return vector(out);
};

const gather: Rule = (node, [x, indices]) => {
  const at = numeric(indices);
  if (
    !x ||
    !indices ||
    !at ||
    x.dims.length !== 1 ||
    ![undefined, 0, -1].includes(node.attributes.axis as number | undefined)
  )
    return undefined;
  const elements = at.map((index) => x.elements[index < 0 ? index + x.elements.length : index]);
  return elements.includes(undefined) ? undefined : { dims: indices.dims, elements: elements as Dim[] };
};

const concat: Rule = (_node, inputs) => {
  if (inputs.some((input) => input?.dims.length !== 1)) return undefined;
  return vector(inputs.flatMap((input) => input!.elements));
};

const shape: Rule = (node, _inputs, [x]) => {
  if (!x) return undefined;
  const { start, end } = node.attributes;
  return vector(x.shape.slice(typeof start === 'number' ? start : 0, typeof end === 'number' ? end : undefined));
};

const rules: Readonly<Record<string, Rule>> = {
  Shape: shape,
  Size: (_node, _inputs, [x]) => x && { dims: [], elements: [x.shape.reduce<Dim>(multiplyDims, 1)] },
  Identity: sameElements,
  // Types are checked by the inference rules; here only the numbers count. A cast of a fraction to
  // an integer truncates.
  Cast: (_node, [x], [value]) =>
    x &&
    (value?.dtype.startsWith('float') && x.elements.some((e) => typeof e === 'number' && !Number.isInteger(e))
      ? { dims: x.dims, elements: x.elements.map((e) => (typeof e === 'number' ? Math.trunc(e) : e)) }
      : x),
  Unsqueeze: (_node, [x, axes]) =>
    x && (x.dims.length === 0 && axes?.elements.length === 1 ? vector(x.elements) : undefined),
  Squeeze: (_node, [x]) => x && (x.elements.length === 1 ? { dims: [], elements: x.elements } : undefined),
  Reshape: (_node, [x, target]) => {
    const dims = numeric(target);
    if (!x || !dims) return undefined;
    if (dims.length === 0 && x.elements.length === 1) return { dims: [], elements: x.elements };
    return dims.length === 1 && (dims[0] === -1 || dims[0] === x.elements.length) ? vector(x.elements) : undefined;
  },
  Concat: concat,
  Slice: slice,
  Gather: gather,
  Add: combine(addDims),
  Sub: combine(subtractDims),
  Mul: combine(multiplyDims),
  // Sizes are not negative, so that truncation is floor.
  Div: (node, inputs, values) =>
    combine((a, b) =>
      values[0]?.dtype.startsWith('float') && typeof a === 'number' && typeof b === 'number'
        ? a / b
        : b === 0
          ? undefined
          : divideDims(a, b),
    )(node, inputs, values),
  Mod: combine(onNumbers((a, b) => a - Math.floor(a / b) * b)),
  Min: combine(onNumbers(Math.min)),
  Max: combine(onNumbers(Math.max)),
  Floor: (_node, [x]) =>
    x && { dims: x.dims, elements: x.elements.map((e) => (typeof e === 'number' ? Math.floor(e) : e)) },
  Ceil: (_node, [x]) =>
    x && { dims: x.dims, elements: x.elements.map((e) => (typeof e === 'number' ? Math.ceil(e) : e)) },
  Neg: (_node, [x]) => x && { dims: x.dims, elements: x.elements.map((e) => subtractDims(0, e)) },
  ReduceProd: (node, [x]) => {
    if (!x || x.dims.length !== 1) return undefined;
    return { dims: node.attributes.keepdims === 0 ? [] : [1], elements: [x.elements.reduce<Dim>(multiplyDims, 1)] };
  },
  // A size is never -1 and, being a size, never equals a number that it need not equal: only what
  // is certain is decided.
  Equal: combine((a, b) =>
    a === b
      ? 1
      : typeof a === 'number' && typeof b === 'number'
        ? 0
        : (a as number) < 0 || (b as number) < 0
          ? 0
          : undefined,
  ),
  Where: (_node, [condition, a, b]) => {
    if (!condition || !a || !b || numeric(condition) === undefined) return undefined;
    const at = (x: Integers, i: number): Dim | undefined => x.elements[x.elements.length === 1 ? 0 : i];
    const size = Math.max(condition.elements.length, a.elements.length, b.elements.length);
    const elements = Array.from({ length: size }, (_, i) => (at(condition, i) ? at(a, i) : at(b, i)));
    const { dims } = [condition, a, b].find((x) => x.elements.length === size)!;
    return elements.includes(undefined) ? undefined : { dims, elements: elements as Dim[] };
  },
  ConstantOfShape: (node, [target]) => {
    const dims = numeric(target);
    const value = node.attributes.value;
    const fill = typeof value === 'object' && 'dtype' in value ? Number(value.data[0]) : 0;
    const size = dims?.reduce((a, b) => a * b, 1);
    return dims && size! <= largest ? { dims, elements: new Array<number>(size!).fill(fill) } : undefined;
  },
  Expand: (_node, [x, target]) => {
    const dims = numeric(target);
    const size = dims?.reduce((a, b) => a * b, 1);
    return x && dims && x.elements.length === 1 && size! <= largest
      ? { dims, elements: new Array<Dim>(size!).fill(x.elements[0]!) }
      : undefined;
  },
  Range: (_node, inputs) => {
    const [start, limit, delta] = inputs.map(scalarOf);
    if (typeof start !== 'number' || typeof limit !== 'number' || typeof delta !== 'number' || delta === 0)
      return undefined;
    const count = Math.max(Math.ceil((limit - start) / delta), 0);
    return count <= largest ? vector(Array.from({ length: count }, (_, i) => start + i * delta)) : undefined;
  },
};

/**
 * The elements of a node's first output when they follow from sizes and constants: `Shape` of
 * anything, and whatever exporters compute from it. Undefined when they do not.
 */
export function inferIntegers(
  node: IntegerNode,
  inputs: readonly (Integers | undefined)[],
  values: readonly (Value | undefined)[],
): Integers | undefined {
  const rule = rules[node.op];
  if (!rule) return undefined;
  const result = rule(node, inputs, values);
  return result && result.elements.length <= largest ? result : undefined;
}
