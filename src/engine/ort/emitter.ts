import { invariant } from '../../errors.js';
import type { Attributes, Domain, Graph, Node, Shape, Value } from '../../graph/graph.js';
import { float32, int64, sizeOf, type DataType, type Tensor } from '../../tensor.js';

/** A value whose sizes are numbers: lowerings work on these only. */
export interface Sized extends Value {
  readonly shape: readonly number[];
}

export interface EmitOptions {
  readonly domain?: Domain;
  readonly dtype?: DataType;
  /** Shapes of further outputs, which get the same element type unless told. */
  readonly more?: readonly { readonly shape: readonly number[]; readonly dtype?: DataType }[];
}

/**
 * Writes the nodes of a lowered graph. Unlike the graph builder it takes shapes from the caller,
 * because onnxruntime's own ops have no inference rules; every node is named after the node it was
 * lowered from.
 */
export interface Emitter {
  /** Sets the name that new nodes begin with. */
  at(name: string): void;
  /** Adds a node with one output of that shape. */
  emit(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes,
    shape: readonly number[],
    options?: EmitOptions,
  ): Sized;
  /** Adds a node with several outputs. */
  emitAll(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes,
    shape: readonly number[],
    options?: EmitOptions,
  ): Sized[];
  /** Copies a node as it is, with other inputs; its outputs keep names, types and shapes. */
  copy(node: Node, inputs: readonly string[], outputs: readonly Value[]): void;
  constant(t: Tensor): Sized;
  constantOf(value: Value): Tensor | undefined;
  build(inputs: readonly Value[], outputs: readonly string[]): Graph;
}

/** An emitter that starts with the constants of `graph`. */
export function createEmitter(graph: Graph): Emitter {
  const nodes: Node[] = [];
  const constants = new Map(graph.constants);
  const values = new Map<string, Value>();
  for (const input of graph.inputs) values.set(input.name, input);
  for (const [name, t] of constants)
    values.set(name, graph.values.get(name) ?? { name, dtype: t.dtype, shape: t.dims });
  const taken = new Set([...graph.values.keys(), ...graph.nodes.flatMap((node) => node.outputs)]);
  const shared = new Map<string, Sized>();
  let prefix = graph.name;
  let count = 0;

  const unique = (base: string): string => {
    let name = `${base}#${count++}`;
    while (taken.has(name)) name = `${base}#${count++}`;
    taken.add(name);
    return name;
  };

  const emitAll: Emitter['emitAll'] = (op, inputs, attributes, shape, options = {}) => {
    const dtype = options.dtype ?? inputs.find((input) => input !== null)?.dtype ?? 'float32';
    const name = unique(`${prefix}/${op}`);
    const outputs = [{ shape, dtype }, ...(options.more ?? [])].map((output, index): Sized => ({
      name: index === 0 ? name : unique(`${name}:${index}`),
      dtype: output.dtype ?? dtype,
      shape: output.shape,
    }));
    for (const output of outputs) values.set(output.name, output);
    nodes.push({
      name,
      op,
      domain: options.domain ?? '',
      attributes,
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs: outputs.map((output) => output.name),
    });
    return outputs;
  };

  const constant = (t: Tensor): Sized => {
    const key =
      t.data.length <= 64 ? `${t.dtype}:${t.dims.join(',')}:${Array.from(t.data, String).join(',')}` : undefined;
    const known = key === undefined ? undefined : shared.get(key);
    if (known) return known;
    const value: Sized = { name: unique('constant'), dtype: t.dtype, shape: [...t.dims] };
    constants.set(value.name, t);
    values.set(value.name, value);
    if (key !== undefined) shared.set(key, value);
    return value;
  };

  return {
    at: (name) => {
      prefix = name;
    },
    emit: (...input) => emitAll(...input)[0]!,
    emitAll,
    copy: (node, inputs, outputs) => {
      nodes.push({ ...node, inputs });
      for (const output of outputs) values.set(output.name, output);
    },
    constant,
    constantOf: (value) => constants.get(value.name),
    build: (inputs, outputs) => {
      const { live, used } = reachable(nodes, outputs);
      return {
        name: graph.name,
        inputs,
        outputs,
        nodes: shallowLast(live),
        values,
        constants: new Map([...constants].filter(([name]) => used.has(name))),
      };
    },
  };
}

/** The nodes that outputs depend on, and the names of all values that these read. */
function reachable(nodes: readonly Node[], outputs: readonly string[]): { live: Node[]; used: Set<string> } {
  const used = new Set(outputs);
  const live = nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => used.has(name))) return false;
    for (const name of node.inputs) used.add(name);
    return true;
  });
  return { live: live.reverse(), used };
}

/**
 * The same nodes, those that no other reads at the end, the deepest first. onnxruntime goes
 * backwards from such nodes, the last first; so it updates a layer's parameters as soon as it can
 * and frees that layer's gradients, before it goes on to earlier layers.
 */
function shallowLast(nodes: readonly Node[]): Node[] {
  const depths = new Map<string, number>();
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const last: { node: Node; depth: number }[] = [];
  const others = nodes.filter((node) => {
    const depth = 1 + Math.max(0, ...node.inputs.map((name) => depths.get(name) ?? 0));
    for (const name of node.outputs) depths.set(name, depth);
    if (node.outputs.some((name) => read.has(name))) return true;
    last.push({ node, depth });
    return false;
  });
  return [...others, ...last.sort((a, b) => b.depth - a.depth).map(({ node }) => node)];
}

/** The value with its sizes known. Throws where a size is only known at run time. */
export function sized(value: Value, where: string): Sized {
  invariant(
    isSized(value),
    `${where}: ${value.name} has the shape [${value.shape.join(', ')}], which must be known to train`,
  );
  return value;
}

export const isSized = (value: Value): value is Sized => value.shape.every((dim) => typeof dim === 'number');

/** The short spellings that lowerings are written in; all shapes are worked out here. */
export const ops = {
  floats: (e: Emitter, dims: readonly number[], data: ArrayLike<number>): Sized => e.constant(float32(dims, data)),
  ints: (e: Emitter, data: readonly number[]): Sized => e.constant(int64([data.length], data)),

  reshape(e: Emitter, x: Sized, shape: readonly number[]): Sized {
    if (equal(x.shape, shape)) return x;
    invariant(
      sizeOf(x.shape) === sizeOf(shape),
      `${x.name}: cannot view [${x.shape.join(', ')}] as [${shape.join(', ')}]`,
    );
    return e.emit('Reshape', [x, ops.ints(e, shape)], {}, shape);
  },

  transpose(e: Emitter, x: Sized, perm: readonly number[]): Sized {
    if (perm.every((axis, i) => axis === i)) return x;
    return e.emit(
      'Transpose',
      [x],
      { perm },
      perm.map((axis) => x.shape[axis]!),
    );
  },

  /**
   * Elements from `starts` up to `ends` (exclusive) on `axes`; every `steps`-th, backwards when
   * negative.
   */
  slice(
    e: Emitter,
    x: Sized,
    axes: readonly number[],
    starts: readonly number[],
    ends: readonly number[],
    steps?: readonly number[],
  ): Sized {
    const shape = [...x.shape];
    axes.forEach((axis, i) => {
      const step = steps?.[i] ?? 1;
      shape[axis] = Math.max(0, Math.ceil((Math.max(ends[i]!, -1) - starts[i]!) / step));
    });
    if (!steps?.some((step) => step < 0) && equal(shape, x.shape)) return x;
    // an end before the first element is written as a number far below it
    const written = ends.map((end) => (end < 0 ? -(2 ** 31) : end));
    return e.emit(
      'Slice',
      [x, ops.ints(e, starts), ops.ints(e, written), ops.ints(e, axes), ...(steps ? [ops.ints(e, steps)] : [])],
      {},
      shape,
    );
  },

  /** Zeros, or another number, around a tensor: `before` and `after` for every axis. */
  pad(e: Emitter, x: Sized, before: readonly number[], after: readonly number[], value = 0): Sized {
    if (before.every((n) => n === 0) && after.every((n) => n === 0)) return x;
    return e.emit(
      'Pad',
      [x, ops.ints(e, [...before, ...after]), ...(value === 0 ? [] : [ops.floats(e, [], [value])])],
      { mode: 'constant' },
      x.shape.map((n, i) => n + before[i]! + after[i]!),
    );
  },

  zeros: (e: Emitter, shape: readonly number[]): Sized =>
    e.emit('Expand', [ops.floats(e, [1], [0]), ops.ints(e, shape)], {}, shape),

  binary(e: Emitter, op: 'Add' | 'Sub' | 'Mul' | 'Div', a: Sized, b: Sized): Sized {
    return e.emit(op, [a, b], {}, broadcast(a.shape, b.shape));
  },
  add: (e: Emitter, a: Sized, b: Sized): Sized => ops.binary(e, 'Add', a, b),
  sub: (e: Emitter, a: Sized, b: Sized): Sized => ops.binary(e, 'Sub', a, b),
  mul: (e: Emitter, a: Sized, b: Sized): Sized => ops.binary(e, 'Mul', a, b),
  div: (e: Emitter, a: Sized, b: Sized): Sized => ops.binary(e, 'Div', a, b),
  scale: (e: Emitter, a: Sized, factor: number): Sized =>
    factor === 1 ? a : ops.mul(e, a, ops.floats(e, [], [factor])),
  neg: (e: Emitter, a: Sized): Sized => e.emit('Neg', [a], {}, a.shape),

  sum(e: Emitter, x: Sized, axes: readonly number[], keep = false): Sized {
    if (axes.length === 0) return x;
    const shape = x.shape.flatMap((n, i) => (axes.includes(i) ? (keep ? [1] : []) : [n]));
    if (axes.every((axis) => x.shape[axis] === 1)) return ops.reshape(e, x, shape);
    return e.emit('ReduceSum', [x, ops.ints(e, axes)], { keepdims: keep ? 1 : 0 }, shape);
  },

  concat(e: Emitter, parts: readonly Sized[], axis: number): Sized {
    if (parts.length === 1) return parts[0]!;
    const shape = [...parts[0]!.shape];
    shape[axis] = parts.reduce((n, part) => n + part.shape[axis]!, 0);
    return e.emit('Concat', parts, { axis }, shape);
  },

  /** alpha * A B over the last two axes, either transposed. */
  matmul(e: Emitter, a: Sized, b: Sized, options: { transA?: boolean; transB?: boolean; alpha?: number } = {}): Sized {
    const { transA = false, transB = false, alpha = 1 } = options;
    const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const shape = [...batch, a.shape.at(transA ? -1 : -2)!, b.shape.at(transB ? -2 : -1)!];
    if (!transA && !transB && alpha === 1) return e.emit('MatMul', [a, b], {}, shape);
    return e.emit('FusedMatMul', [a, b], { transA: transA ? 1 : 0, transB: transB ? 1 : 0, alpha }, shape, {
      domain: 'com.microsoft',
    });
  },
};

const equal = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** The broadcast of two shapes. */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[i - rank + a.length] ?? 1;
    const right = b[i - rank + b.length] ?? 1;
    return left === 1 ? right : left;
  });
}

export type { Shape };
