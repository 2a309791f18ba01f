import { sizeOf } from '../../../tensor.js';
import { argument, eltwise, type DnnlType, type Layout, type PostOp } from '../dnnl.js';
import type { Emitter } from '../emit.js';
import type { Place } from '../places.js';
import { fromFront, numberOf, type Lowering } from './lowering.js';

/** Elements from which the operands of a product are in bfloat16, where that is asked for. */
const large = 8192;

const operandType = (e: Emitter, a: string, b: string): DnnlType =>
  (e.isHalved && [a, b].some((name) => sizeOf(e.value(name).shape) >= large) ? 'bf16' : 'f32');

/** A value in row-major order, of a type. */
const rows = (e: Emitter, name: string, type: DnnlType): Place => (type === 'f32' ? e.plain(name) : e.as(name, e.dnnl.plain(e.value(name).shape, type)));

const MatMul: Lowering = (e, node) => {
  const [a, b] = node.inputs as [string, string], y = node.outputs[0]!;
  if (e.value(y).dtype !== 'float32') return false;
  const [left, right, result] = [a, b, y].map((name) => e.value(name).shape) as [readonly number[], readonly number[], readonly number[]];
  if (left.length < 2 || right.length < 2) return false;
  const type = operandType(e, a, b), made = type === 'bf16' ? e.typeOf(y) : type;
  const shapes = (): [Layout, Layout, Layout] => {
    const [k, n] = right.slice(-2) as [number, number];
    // one matrix for all: the leading axes of the other are rows
    if (sizeOf(right.slice(0, -2)) === 1) return [e.dnnl.plain([sizeOf(left) / k, k], type), e.dnnl.plain([k, n], type), e.dnnl.plain([sizeOf(result) / n, n], made)];
    const padded = (dims: readonly number[]): number[] => [...new Array<number>(result.length - dims.length).fill(1), ...dims];
    return [e.dnnl.plain(padded(left), type), e.dnnl.plain(padded(right), type), e.dnnl.plain(result, made)];
  };
  const [first, second, output] = shapes(), operation = e.dnnl.matmul(first, second, output);
  if (!operation) return false;
  const from = e.view(rows(e, a, first.type), first), factor = e.view(rows(e, b, second.type), second);
  const to = e.view(e.result(y, e.dnnl.plain(result, output.type)), output);
  e.call(operation, { name: node.name, kind: 'MatMul', reads: [[argument.source, from], [argument.weights, factor]], writes: [[argument.output, to]] });
  return true;
};

const Gemm: Lowering = (e, node) => {
  const [a, b, c] = node.inputs as [string, string, string?], y = node.outputs[0]!;
  if (e.value(y).dtype !== 'float32') return false;
  const alpha = numberOf(node, 'alpha', 1), beta = numberOf(node, 'beta', 1);
  const [m, n] = e.value(y).shape as [number, number], bias = c ? e.value(c).shape : undefined;
  if (bias && (alpha !== 1 || beta !== 1 || sizeOf(bias) !== n || bias.at(-1) !== n)) return false;
  const matrix = (name: string, isTransposed: boolean): Layout => {
    const [rows, columns] = e.value(name).shape as [number, number];
    return isTransposed ? e.dnnl.strided([columns, rows], [1, columns], type) : e.dnnl.plain([rows, columns], type);
  };
  const type = operandType(e, a, b), made = type === 'bf16' ? e.typeOf(y) : type;
  const first = matrix(a, numberOf(node, 'transA', 0) === 1), second = matrix(b, numberOf(node, 'transB', 0) === 1), output = e.dnnl.plain([m, n], made);
  const postOps: PostOp[] = alpha === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha, beta: 0 }];
  const shift = bias ? e.dnnl.plain([1, n]) : undefined, operation = e.dnnl.matmul(first, second, output, postOps, shift);
  if (!operation) return false;
  const from = e.view(rows(e, a, type), first), factor = e.view(rows(e, b, type), second), added = shift ? e.view(e.plain(c!), shift) : undefined;
  const to = e.result(y, output);
  e.call(operation, {
    name: node.name, kind: 'Gemm',
    reads: [[argument.source, from], [argument.weights, factor], ...(added ? [[argument.bias, added] as const] : [])], writes: [[argument.output, to]],
  });
  return true;
};

const softmax = (isLogarithm: boolean): Lowering => (e, node) => {
  const x = node.inputs[0]!, { shape, dtype } = e.value(x);
  if (dtype !== 'float32' || shape.length === 0) return false;
  // exact operands; probabilities of attention, large and no logarithms, go on in bfloat16
  const y = node.outputs[0]!, layout = e.dnnl.plain(shape), output = e.dnnl.plain(shape, isLogarithm ? 'f32' : e.typeOf(y));
  const operation = e.dnnl.softmax(layout, output, fromFront(numberOf(node, 'axis', -1), shape.length), isLogarithm);
  if (!operation) return false;
  const from = e.plain(x), to = e.result(y, output);
  e.call(operation, { name: node.name, kind: node.op, reads: [[argument.source, from]], writes: [[argument.output, to]], ...(output.type === 'f32' ? { inPlace: [[to, from]] } : {}) });
  return true;
};

/** Matrix products and softmax. */
export const linear = { MatMul, Gemm, Softmax: softmax(false), LogSoftmax: softmax(true) };
