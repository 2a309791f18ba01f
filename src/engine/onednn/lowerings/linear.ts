import { axisOf, listOf, numberOf } from '../../../graph/attributes.js';
import { stridesOf } from '../../../graph/evaluate/dense.js';
import { sizeOf } from '../../../tensor.js';
import { argument, eltwise, type DnnlType, type Layout, type PostOp } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';
import type { Place } from '../memory/places.js';
import { floatsWhere, lowering, type Lowering, type Lowerings } from './lowering.js';

/** A product with a large operand is in bfloat16, where that is asked for. */
const operandType = (e: Emitter, a: string, b: string): DnnlType =>
  e.isHalved && [a, b].some((name) => e.isLarge(name)) ? 'bf16' : 'f32';

/** A value in row-major order, of a type. */
const rows = (e: Emitter, name: string, type: DnnlType): Place =>
  type === 'f32' ? e.plain(name) : e.as(name, e.dnnl.plain(e.value(name).shape, type));

/**
 * An operand of a product, without the constant factors and the transposition of its last two axes
 * that it comes from. A value that is nowhere in memory, since a generated loop keeps it in
 * registers, is not looked through to.
 */
interface Operand {
  readonly name: string;
  readonly isTransposed: boolean;
  readonly factor: number;
}

function operandOf(e: Emitter, given: string): Operand {
  let name = given,
    isTransposed = false,
    factor = 1;
  for (;;) {
    const node = e.producer(name),
      number = node?.inputs[1] ? e.scalar(node.inputs[1]) : undefined;
    if (!node || !e.isMade(node.inputs[0]!)) return { name, isTransposed, factor };
    if (node.op === 'Transpose' && swapsLast(listOf(node.attributes, 'perm') ?? [])) isTransposed = !isTransposed;
    else if (
      node.op === 'Mul' &&
      number !== undefined &&
      e.value(node.inputs[0]!).shape.join() === e.value(name).shape.join()
    )
      factor *= number;
    else return { name, isTransposed, factor };
    name = node.inputs[0]!;
  }
}

const swapsLast = (permutation: readonly number[]): boolean => {
  const rank = permutation.length;
  return (
    rank >= 2 && permutation.every((axis, i) => axis === (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i))
  );
};

/** Where the elements of an operand are, as [...leading, rows, columns] of the product. */
function layoutOf(e: Emitter, { name, isTransposed }: Operand, leading: number, type: DnnlType): Layout {
  const { shape } = e.value(name),
    all = [...new Array<number>(Math.max(0, leading + 2 - shape.length)).fill(1), ...shape];
  const dims = leading === 0 ? all.slice(-2) : all;
  if (!isTransposed) return e.dnnl.plain(dims, type);
  const swap = <T>(list: readonly T[]): T[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
  return e.dnnl.strided(swap(dims), swap(stridesOf(dims)), type);
}

const MatMul: Lowering['write'] = (e, node) => {
  const [a, b] = node.inputs as [string, string],
    y = node.outputs[0]!;
  const [left, right, result] = [a, b, y].map((name) => e.value(name).shape) as [
    readonly number[],
    readonly number[],
    readonly number[],
  ];
  const type = operandType(e, a, b),
    behind = e.biases.get(node),
    made = type === 'bf16' ? e.typeOf(behind ? behind.add.outputs[0]! : y) : type;
  const isMatrix = sizeOf(right.slice(0, -2)) === 1,
    [k, n] = right.slice(-2) as [number, number],
    leading = isMatrix ? 0 : result.length - 2;
  // one matrix for all: the leading axes of the other are rows, which a transposed one has not
  const first = isMatrix && left.length > 2 ? { name: a, isTransposed: false, factor: 1 } : operandOf(e, a),
    second = operandOf(e, b);
  const source = isMatrix
    ? left.length > 2
      ? e.dnnl.plain([sizeOf(left) / k, k], type)
      : layoutOf(e, first, 0, type)
    : layoutOf(e, first, leading, type);
  const weights = layoutOf(e, second, leading, type),
    output = e.dnnl.plain(isMatrix ? [sizeOf(result) / n, n] : result, made);
  const factor = first.factor * second.factor,
    postOps: PostOp[] = factor === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha: factor, beta: 0 }];
  const bias = behind && factor === 1 ? e.dnnl.plain([1, n]) : undefined;
  const operation = e.dnnl.matmul(source, weights, output, postOps, bias);
  if (!operation) return false;
  const from = e.view(rows(e, first.name, type), source),
    matrix = e.view(rows(e, second.name, type), weights);
  const shift = bias && e.view(e.plain(behind!.bias), bias),
    last = shift ? behind!.add : node;
  const to = e.view(e.result(last.outputs[0]!, e.dnnl.plain(result, made)), output);
  e.call(operation, {
    name: last.name,
    kind: shift ? 'MatMul and bias' : 'MatMul',
    reads: [[argument.source, from], [argument.weights, matrix], ...(shift ? [[argument.bias, shift] as const] : [])],
    writes: [[argument.output, to]],
  });
  if (shift) e.done(last);
  return true;
};

const Gemm: Lowering['write'] = (e, node) => {
  const [a, b, c] = node.inputs as [string, string, string?],
    y = node.outputs[0]!;
  const alpha = numberOf(node.attributes, 'alpha', 1);
  const [m, n] = e.value(y).shape as [number, number],
    bias = c ? e.value(c).shape : undefined;
  const matrix = (name: string, isTransposed: boolean): Layout => {
    const [rows, columns] = e.value(name).shape as [number, number];
    return isTransposed ? e.dnnl.strided([columns, rows], [1, columns], type) : e.dnnl.plain([rows, columns], type);
  };
  const type = operandType(e, a, b),
    made = type === 'bf16' ? e.typeOf(y) : type;
  const first = matrix(a, numberOf(node.attributes, 'transA', 0) === 1),
    second = matrix(b, numberOf(node.attributes, 'transB', 0) === 1),
    output = e.dnnl.plain([m, n], made);
  const postOps: PostOp[] = alpha === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha, beta: 0 }];
  const shift = bias ? e.dnnl.plain([1, n]) : undefined,
    operation = e.dnnl.matmul(first, second, output, postOps, shift);
  if (!operation) return false;
  const from = e.view(rows(e, a, type), first),
    factor = e.view(rows(e, b, type), second),
    added = shift ? e.view(e.plain(c!), shift) : undefined;
  const to = e.result(y, output);
  e.call(operation, {
    name: node.name,
    kind: 'Gemm',
    reads: [[argument.source, from], [argument.weights, factor], ...(added ? [[argument.bias, added] as const] : [])],
    writes: [[argument.output, to]],
  });
  return true;
};

const softmax =
  (isLogarithm: boolean): Lowering['write'] =>
  (e, node) => {
    const x = node.inputs[0]!,
      { shape } = e.value(x);
    // exact operands; probabilities of attention, large and no logarithms, go on in bfloat16
    const y = node.outputs[0]!,
      layout = e.dnnl.plain(shape),
      output = e.dnnl.plain(shape, isLogarithm ? 'f32' : e.typeOf(y));
    const operation = e.dnnl.softmax(layout, output, axisOf(node.attributes, shape.length, -1), isLogarithm);
    if (!operation) return false;
    const from = e.plain(x),
      to = e.result(y, output);
    e.call(operation, {
      name: node.name,
      kind: node.op,
      reads: [[argument.source, from]],
      writes: [[argument.output, to]],
      ...(output.type === 'f32' ? { inPlace: [[to, from]] } : {}),
    });
    return true;
  };

/** The library adds a bias for each column, neither scaled. */
const hasBiasOfColumns: Lowering['applies'] = (facts, node) => {
  const [, , bias] = node.inputs;
  if (!bias) return true;
  const { shape } = facts.value(bias),
    columns = facts.value(node.outputs[0]!).shape[1]!;
  const isScaled = numberOf(node.attributes, 'alpha', 1) !== 1 || numberOf(node.attributes, 'beta', 1) !== 1;
  return !isScaled && sizeOf(shape) === columns && shape.at(-1) === columns;
};

const areMatrices: Lowering['applies'] = (facts, { inputs }) =>
  inputs.every((name) => facts.value(name).shape.length >= 2);
const hasAxes: Lowering['applies'] = (facts, { inputs }) => facts.value(inputs[0]!).shape.length > 0;

/** Matrix products and softmax. */
export const linear: Lowerings = {
  MatMul: lowering(MatMul, floatsWhere(areMatrices)),
  Gemm: lowering(Gemm, floatsWhere(hasBiasOfColumns)),
  Softmax: lowering(softmax(false), floatsWhere(hasAxes)),
  LogSoftmax: lowering(softmax(true), floatsWhere(hasAxes)),
};
