import { sizeOf } from '../../../tensor.js';
import { argument, eltwise, type Layout, type PostOp } from '../dnnl.js';
import { fromFront, numberOf, type Lowering } from './lowering.js';

const MatMul: Lowering = (e, node) => {
  const [a, b] = node.inputs as [string, string], y = node.outputs[0]!;
  if (e.value(y).dtype !== 'float32') return false;
  const [left, right, result] = [a, b, y].map((name) => e.value(name).shape) as [readonly number[], readonly number[], readonly number[]];
  if (left.length < 2 || right.length < 2) return false;
  const shapes = (): [Layout, Layout, Layout] => {
    const [k, n] = right.slice(-2) as [number, number];
    // one matrix for all: the leading axes of the other are rows
    if (sizeOf(right.slice(0, -2)) === 1) return [e.dnnl.plain([sizeOf(left) / k, k]), e.dnnl.plain([k, n]), e.dnnl.plain([sizeOf(result) / n, n])];
    const padded = (dims: readonly number[]): number[] => [...new Array<number>(result.length - dims.length).fill(1), ...dims];
    return [e.dnnl.plain(padded(left)), e.dnnl.plain(padded(right)), e.dnnl.plain(result)];
  };
  const [first, second, output] = shapes(), operation = e.dnnl.matmul(first, second, output);
  if (!operation) return false;
  const from = e.view(e.plain(a), first), factor = e.view(e.plain(b), second), to = e.view(e.result(y), output);
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
    return isTransposed ? e.dnnl.strided([columns, rows], [1, columns]) : e.dnnl.plain([rows, columns]);
  };
  const first = matrix(a, numberOf(node, 'transA', 0) === 1), second = matrix(b, numberOf(node, 'transB', 0) === 1), output = e.dnnl.plain([m, n]);
  const postOps: PostOp[] = alpha === 1 ? [] : [{ kind: 'eltwise', algorithm: eltwise.linear, alpha, beta: 0 }];
  const shift = bias ? e.dnnl.plain([1, n]) : undefined, operation = e.dnnl.matmul(first, second, output, postOps, shift);
  if (!operation) return false;
  const from = e.view(e.plain(a), first), factor = e.view(e.plain(b), second), added = shift ? e.view(e.plain(c!), shift) : undefined;
  const to = e.result(y);
  e.call(operation, {
    name: node.name, kind: 'Gemm',
    reads: [[argument.source, from], [argument.weights, factor], ...(added ? [[argument.bias, added] as const] : [])], writes: [[argument.output, to]],
  });
  return true;
};

const softmax = (isLogarithm: boolean): Lowering => (e, node) => {
  const x = node.inputs[0]!, { shape, dtype } = e.value(x);
  if (dtype !== 'float32' || shape.length === 0) return false;
  const layout = e.dnnl.plain(shape), operation = e.dnnl.softmax(layout, fromFront(numberOf(node, 'axis', -1), shape.length), isLogarithm);
  if (!operation) return false;
  const from = e.plain(x), to = e.result(node.outputs[0]!);
  e.call(operation, { name: node.name, kind: node.op, reads: [[argument.source, from]], writes: [[argument.output, to]], inPlace: [[to, from]] });
  return true;
};

/** Matrix products and softmax. */
export const linear = { MatMul, Gemm, Softmax: softmax(false), LogSoftmax: softmax(true) };
