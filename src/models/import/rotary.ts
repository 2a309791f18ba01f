import { numberOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Value } from '../../graph/graph.js';
import { int64 } from '../../tensor.js';
import type { Conversion, Converter } from './conversion.js';
import type { Emitter } from './emitter.js';

/** Where the tables of cosines and sines stand, and which of their rows are used. */
interface Angles {
  readonly cos: Value;
  readonly sin: Value;
  /** Rows [batch, sequence] or [sequence] to take; undefined where the tables are as wanted. */
  readonly positions: Value | undefined;
}

/** Tables are no parameters. */
function fixed(emitter: Emitter, value: Value): Value {
  const t = emitter.builder.constantOf(value);
  return t ? emitter.builder.constant(t) : value;
}

/**
 * Turns pairs of numbers of each head by the angles of its position: (a, b) becomes (a cos - b sin,
 * a sin + b cos). A pair is a number of the first half and one of the second, or (`interleaved`) two
 * neighbours. x is [batch, heads, sequence, size] or [batch, sequence, heads * size].
 */
function rotated({ node, attributes, emitter }: Conversion, x: Value, { cos, sin, positions }: Angles): Value {
  const { builder } = emitter;
  const isTogether = x.shape.length === 3;
  const half = cos.shape.at(-1);
  if (typeof half !== 'number')
    throw new PupilError(
      'unsupported',
      `${node.name}: RotaryEmbedding by tables of a width known only at run time; export the model again`,
    );
  const turned = 2 * half;
  const heads = numberOf(attributes, 'num_heads', 0) || Number(x.shape[2]) / turned;
  const apart = isTogether ? emitter.op('Reshape', [x, builder.ints([0, 0, heads, -1])]) : x;
  const size = apart.shape[3] as number;
  // One axis for the heads: [..., sequence, 1, half] or [..., 1, sequence, half].
  const spread = (table: Value): Value => {
    const rows = positions
      ? emitter.op('Gather', [fixed(emitter, table), positions], { axis: 0 })
      : fixed(emitter, table);
    return emitter.op('Unsqueeze', [rows, builder.ints([isTogether ? -2 : -3])]);
  };
  const [c, s] = [spread(cos), spread(sin)];
  const part = (from: number, end: number): Value =>
    from === 0 && end === size
      ? apart
      : emitter.op('Slice', [apart, builder.ints([from]), builder.ints([end]), builder.ints([3])]);
  const isInterleaved = attributes.interleaved === 1;
  const pairs = isInterleaved ? emitter.op('Reshape', [part(0, turned), builder.ints([0, 0, 0, half, 2])]) : undefined;
  const [a, b] = pairs
    ? emitter
        .node('Split', [pairs, builder.ints([1, 1])], { axis: 4 }, 2)
        .map((value) => emitter.op('Squeeze', [value, builder.ints([4])]))
    : [part(0, half), part(half, turned)];
  const first = emitter.op('Sub', [emitter.op('Mul', [a, c]), emitter.op('Mul', [b, s])]);
  const second = emitter.op('Add', [emitter.op('Mul', [a, s]), emitter.op('Mul', [b, c])]);
  const column = (value: Value): Value => emitter.op('Unsqueeze', [value, builder.ints([4])]);
  const made = isInterleaved
    ? emitter.op('Reshape', [
        emitter.op('Concat', [column(first), column(second)], { axis: 4 }),
        builder.ints([0, 0, 0, turned]),
      ])
    : emitter.op('Concat', [first, second], { axis: 3 });
  const whole = turned === size ? made : emitter.op('Concat', [made, part(turned, size)], { axis: 3 });
  return isTogether ? emitter.op('Reshape', [whole, builder.ints([0, 0, -1])]) : whole;
}

/** X, cosines, sines and, if these are tables of all positions, which of them. */
const rotary: Converter = (conversion) => {
  const [x, cos, sin, positions] = conversion.inputs;
  return [rotated(conversion, x!, { cos: cos!, sin: sin!, positions })];
};

/** onnxruntime's: X, positions (or only the first one), cosines, sines. */
const runtimeRotary: Converter = (conversion) => {
  const { node, inputs, emitter } = conversion,
    [x, given, cos, sin] = inputs;
  const count = x!.shape[x!.shape.length === 3 ? 1 : 2];
  if (given!.shape.length > 1) return [rotated(conversion, x!, { cos: cos!, sin: sin!, positions: given })];
  if (typeof count !== 'number')
    throw new PupilError(
      'unsupported',
      `${node.name}: RotaryEmbedding over a size known only at run time; export the model with a fixed image size`,
    );
  const steps = emitter.builder.constant(
    int64(
      [count],
      Array.from({ length: count }, (_, i) => i),
    ),
  );
  return [rotated(conversion, x!, { cos: cos!, sin: sin!, positions: emitter.op('Add', [given, steps]) })];
};

export const rotaryConverters: Readonly<Record<string, Converter>> = {
  'RotaryEmbedding': rotary,
  'com.microsoft.RotaryEmbedding': runtimeRotary,
};
