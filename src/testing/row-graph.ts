import { GraphBuilder } from '../graph/builder.js';
import type { Attributes, Value } from '../graph/graph.js';
import { Random } from '../random.js';
import { float32, sizeOf, tensor, type FloatTensor, type Tensor } from '../tensor.js';

/**
 * A float input by shape, with values spread over [low, high] (default [-2, 2]) or given; a tensor
 * is a constant; null is absent.
 */
export type RowInput =
  readonly number[] | { readonly dims: readonly number[]; readonly low: number; readonly high: number } | Tensor | null;

/** One node whose gradient is held against finite differences. */
export interface Row {
  readonly op: string;
  /** What sets it apart from other rows of the op. */
  readonly about?: string;
  readonly inputs: readonly RowInput[];
  readonly attributes?: Attributes;
  /** How many outputs to ask for. */
  readonly outputs?: number;
  /** Which outputs the loss sees (default: the first). */
  readonly seen?: readonly number[];
}

export const rowName = ({ op, about }: Row): string => (about ? `${op}, ${about}` : op);

/**
 * Values spread evenly over [low, high] in shuffled order: all distinct, none on a round number
 * where functions have kinks.
 */
export function spread(dims: readonly number[], low: number, high: number, random: Random): FloatTensor {
  const count = sizeOf(dims),
    step = (high - low) / count;
  return float32(dims, random.shuffle(Array.from({ length: count }, (_, i) => low + (i + 0.3713) * step)));
}

export interface RowGraph {
  readonly builder: GraphBuilder;
  /** The node's float inputs, to differentiate by. */
  readonly wrt: readonly Value[];
  readonly outputs: readonly Value[];
  /**
   * sum of output * weight over all elements of the outputs it sees, the weights being fixed random
   * numbers.
   */
  readonly loss: Value;
  readonly feeds: Readonly<Record<string, FloatTensor>>;
}

/**
 * The graph of a row with its loss, and values for its inputs, which the node gets as they come out
 * of `through`.
 */
export function buildRow(
  row: Row,
  through: (builder: GraphBuilder, value: Value) => Value = (_, value) => value,
): RowGraph {
  const builder = new GraphBuilder(rowName(row)),
    random = new Random(1, rowName(row)),
    wrt: Value[] = [];
  const feeds: Record<string, FloatTensor> = {};
  const inputs = row.inputs.map((input, index) => {
    if (input === null) return null;
    if ('dtype' in input) return builder.constant(input);
    const { dims, low, high } = 'low' in input ? input : { dims: input, low: -2, high: 2 };
    const value = builder.input(`x${index}`, 'float32', dims);
    feeds[value.name] = spread(dims, low, high, random);
    wrt.push(value);
    return through(builder, value);
  });
  const outputs = builder.node(row.op, inputs, row.attributes ?? {}, { name: 'node', outputs: row.outputs });
  const parts = (row.seen ?? [0]).map((index) => {
    const output = outputs[index]!;
    const weights = spread(output.shape as number[], -1, 1, random);
    const weight = builder.constant(
      output.dtype === 'float64' ? tensor('float64', weights.dims, Float64Array.from(weights.data)) : weights,
    );
    return builder.op('ReduceSum', [builder.op('Mul', [output, weight])], { keepdims: 0 });
  });
  const loss = parts.reduce((sum, part) => builder.op('Add', [sum, part]));
  return { builder, wrt, outputs, loss, feeds };
}
