import { textOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Value } from '../../graph/graph.js';
import type { Converter } from './conversion.js';
import type { Emitter } from './emitter.js';

/** The parts of one direction. */
interface Direction {
  /** [4 hidden, inputs] and [4 hidden, hidden]: input, output and forget gates, then cells. */
  readonly weight: Value;
  readonly recurrence: Value;
  /** [8 hidden], of the inputs and of the recurrence. */
  readonly bias: Value | undefined;
  /** [1, batch, hidden]; zeros if undefined. */
  readonly hidden: Value | undefined;
  readonly cell: Value | undefined;
  readonly isReverse: boolean;
}

/** `count` parts of one size along an axis. */
const parts = (emitter: Emitter, x: Value, count: number, axis: number, size = 1): readonly Value[] =>
  count === 1
    ? [x]
    : emitter.node('Split', [x, emitter.builder.ints(new Array<number>(count).fill(size))], { axis }, count);

/**
 * One direction over x [steps, batch, inputs], step after step: c = f c + i g, h = o tanh(c), with i,
 * o, f the sigmoids and g the tanh of x W^T + h R^T + bias. Returns h of every step and the last c.
 */
function unrolled(
  emitter: Emitter,
  x: Value,
  { weight, recurrence, bias, hidden, cell, isReverse }: Direction,
): { readonly outputs: readonly Value[]; readonly last: Value; readonly cell: Value } {
  const { builder } = emitter,
    size = recurrence.shape[1] as number;
  const swapped = (value: Value): Value => emitter.op('Transpose', [value], { perm: [1, 0] });
  let all = emitter.op('MatMul', [x, swapped(weight)]);
  if (bias) all = emitter.op('Add', [all, emitter.op('Add', [...parts(emitter, bias, 2, 0, 4 * size)])]);
  const back = swapped(recurrence),
    steps = parts(emitter, all, x.shape[0] as number, 0);
  const outputs: Value[] = [];
  let h = hidden,
    c = cell;
  for (const step of isReverse ? [...steps].reverse() : steps) {
    const sum = h ? emitter.op('Add', [step, emitter.op('MatMul', [h, back])]) : step;
    const [gates, candidate] = emitter.node('Split', [sum, builder.ints([3 * size, size])], { axis: 2 }, 2);
    const [input, output, forget] = parts(emitter, emitter.op('Sigmoid', [gates]), 3, 2, size);
    const added = emitter.op('Mul', [input, emitter.op('Tanh', [candidate])]);
    c = c ? emitter.op('Add', [emitter.op('Mul', [forget, c]), added]) : added;
    h = emitter.op('Mul', [output, emitter.op('Tanh', [c])]);
    outputs.push(h);
  }
  return { outputs: isReverse ? outputs.reverse() : outputs, last: h!, cell: c! };
}

/** An LSTM over a known number of steps, each written out: right, but slow where there are many. */
export const lstm: Converter = ({ node, inputs, attributes, emitter }) => {
  const [x, weights, recurrences, biases, lengths, hidden, cell, peepholes] = inputs;
  const refuse = (what: string): never => {
    throw new PupilError(
      'unsupported',
      `${node.name}: LSTM with ${what} is not supported; export the model without it`,
    );
  };
  if (lengths) refuse('lengths of sequences');
  if (peepholes) refuse('peepholes');
  if (attributes.activations || attributes.clip || attributes.input_forget) refuse('its own activations or clipping');
  if (attributes.layout === 1) refuse('the batch first');
  if (typeof x!.shape[0] !== 'number') refuse('a number of steps known only at run time');
  const direction = textOf(attributes, 'direction', 'forward'),
    count = direction === 'bidirectional' ? 2 : 1,
    { builder } = emitter;
  const of = (value: Value): readonly Value[] =>
    parts(emitter, value, count, 0).map((part) => emitter.op('Squeeze', [part, builder.ints([0])]));
  const [w, r, b] = [of(weights!), of(recurrences!), biases && of(biases)];
  const [h, c] = [hidden, cell].map((state) => state && parts(emitter, state, count, 0));
  const made = Array.from({ length: count }, (_, i) =>
    unrolled(emitter, x!, {
      weight: w[i]!,
      recurrence: r[i]!,
      bias: b?.[i],
      hidden: h?.[i],
      cell: c?.[i],
      isReverse: i === 1 || direction === 'reverse',
    }),
  );
  const joined = (values: readonly Value[], axis: number): Value =>
    values.length === 1 ? values[0]! : emitter.op('Concat', values, { axis });
  const outputs = made.map((one) => emitter.op('Unsqueeze', [joined(one.outputs, 0), builder.ints([1])]));
  const last = made.map((one) => one.last),
    cells = made.map((one) => one.cell);
  return [joined(outputs, 1), joined(last, 0), joined(cells, 0)];
};
