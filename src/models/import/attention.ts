import { numberOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Dim, Value } from '../../graph/graph.js';
import { float32 } from '../../tensor.js';
import type { Conversion, Converter } from './conversion.js';
import type { Emitter } from './emitter.js';

/** [batch, sequence, heads * size] -> [batch, heads, sequence, size] */
function splitHeads(emitter: Emitter, x: Value, heads: number): Value {
  const { builder } = emitter;
  return emitter.op('Transpose', [emitter.op('Reshape', [x, builder.ints([0, 0, heads, -1])])], { perm: [0, 2, 1, 3] });
}

/** [batch, heads, sequence, size] -> [batch, sequence, heads * size] */
const joinHeads = (emitter: Emitter, x: Value): Value =>
  emitter.op('Reshape', [emitter.op('Transpose', [x], { perm: [0, 2, 1, 3] }), emitter.builder.ints([0, 0, -1])]);

const refusal =
  ({ node }: Pick<Conversion, 'node'>, instead: string) =>
  (what: string): never => {
    throw new PupilError('unsupported', `${node.name}: ${node.op} with ${what} is not supported; ${instead}`);
  };

interface Scores {
  /** 1 / sqrt(head size) where the file does not say it. */
  readonly scale: number | undefined;
  readonly isCausal: boolean;
  /** Added to the scores, or truth values: what takes part. */
  readonly mask: Value | undefined;
  /** Scores are softcap * tanh(scores / softcap); 0 for none. */
  readonly softcap: number;
}

/** softmax(scale Q K^T + mask) V, all [batch, heads, sequence, size]. */
function attend(
  emitter: Emitter,
  [q, k, v]: readonly [Value, Value, Value],
  { scale, isCausal, mask, softcap }: Scores,
  refuse: (what: string) => never,
): Value {
  const { builder } = emitter,
    size = q.shape[3];
  if (typeof size !== 'number') return refuse('a head size known only at run time');
  // Scaled before the product, where there are fewer numbers.
  let scores = emitter.op('MatMul', [
    emitter.op('Mul', [q, scale ?? 1 / Math.sqrt(size)]),
    emitter.op('Transpose', [k], { perm: [0, 1, 3, 2] }),
  ]);
  if (softcap !== 0) scores = emitter.op('Mul', [emitter.op('Tanh', [emitter.op('Div', [scores, softcap])]), softcap]);
  if (isCausal) {
    const [rows, columns] = scores.shape.slice(2);
    if (typeof rows !== 'number' || typeof columns !== 'number')
      return refuse('a causal mask over a size known only at run time');
    const causal = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % columns > Math.floor(i / columns) ? -1e30 : 0,
    );
    scores = emitter.op('Add', [scores, builder.constant(float32([rows, columns], causal))]);
  }
  if (mask)
    scores =
      mask.dtype === 'bool'
        ? emitter.op('Where', [mask, scores, builder.scalar(-1e30)])
        : emitter.op('Add', [scores, mask]);
  return emitter.op('MatMul', [emitter.op('Softmax', [scores], { axis: -1 }), v]);
}

/** [batch, heads, sequence, size] with each head several times. */
function repeatHeads(emitter: Emitter, x: Value, times: number, refuse: (what: string) => never): Value {
  if (times === 1) return x;
  const { builder } = emitter,
    [, heads, sequence, size] = x.shape;
  if (typeof heads !== 'number' || typeof sequence !== 'number' || typeof size !== 'number')
    return refuse('fewer key heads than query heads and a size known only at run time');
  const apart = emitter.op('Unsqueeze', [x, builder.ints([2])]);
  const repeated = emitter.op('Expand', [apart, builder.ints([1, 1, times, 1, 1])]);
  return emitter.op('Reshape', [repeated, builder.ints([0, heads * times, sequence, size])]);
}

/**
 * softmax(scale Q K^T + mask) V, with heads apart ([batch, heads, sequence, size]) or together
 * ([batch, sequence, heads * size]).
 */
const attention: Converter = (conversion) => {
  const { inputs, attributes, emitter, outputCount } = conversion;
  const [q0, k0, v0, mask, pastKey] = inputs;
  const refuse = refusal(conversion, 'export with an opset below 23');
  if (pastKey || outputCount > 1) refuse('a cache');
  const isTogether = q0!.shape.length === 3;
  const heads = attributes.q_num_heads as number;
  const keyHeads = attributes.kv_num_heads as number;
  const q = isTogether ? splitHeads(emitter, q0!, heads) : q0!;
  const k = isTogether ? splitHeads(emitter, k0!, keyHeads) : k0!;
  const v = isTogether ? splitHeads(emitter, v0!, keyHeads) : v0!;
  const times = Number(q.shape[1]) / Number(k.shape[1]);
  if (!Number.isInteger(times)) refuse('a number of query heads that key heads do not divide');
  const out = attend(
    emitter,
    [q, repeatHeads(emitter, k, times, refuse), repeatHeads(emitter, v, times, refuse)],
    {
      scale: attributes.scale as number | undefined,
      isCausal: attributes.is_causal === 1,
      mask,
      softcap: numberOf(attributes, 'softcap', 0),
    },
    refuse,
  );
  return [isTogether ? joinHeads(emitter, out) : out];
};

const ofRuntime = 'export the model without the optimisations of onnxruntime';

/** onnxruntime's attributes: a scale of 0 is the usual one. */
const scoresOf = ({ attributes }: Conversion, mask: Value | undefined): Scores => ({
  scale: numberOf(attributes, 'scale', 0) || undefined,
  isCausal: attributes.unidirectional === 1,
  mask,
  softcap: 0,
});

/** onnxruntime's Attention: the projection to queries, keys and values is part of it. */
const projectedAttention: Converter = (conversion) => {
  const { inputs, attributes, emitter, outputCount } = conversion;
  const [x, weights, bias, maskIndex, past, added] = inputs;
  const refuse = refusal(conversion, ofRuntime);
  if (past || outputCount > 1) refuse('a cache');
  if (maskIndex) refuse('a mask by lengths');
  if (attributes.do_rotary === 1) refuse('rotary positions inside');
  const heads = attributes.num_heads as number;
  const width = weights!.shape[1] as number;
  const sizes = (attributes.qkv_hidden_sizes as readonly number[] | undefined) ?? [width / 3, width / 3, width / 3];
  const product = emitter.op('MatMul', [x, weights]);
  const parts = emitter.node(
    'Split',
    [bias ? emitter.op('Add', [product, bias]) : product, emitter.builder.ints(sizes)],
    { axis: -1 },
    3,
  );
  const [q, k, v] = parts.map((part) => splitHeads(emitter, part, heads)) as [Value, Value, Value];
  return [joinHeads(emitter, attend(emitter, [q, k, v], scoresOf(conversion, added), refuse))];
};

/** [batch, sequence, heads, count, size] as `count` tensors [batch, sequence, heads, size]. */
function unpacked(emitter: Emitter, x: Value, count: number): Value[] {
  const { builder } = emitter,
    ones = builder.ints(new Array<number>(count).fill(1));
  return emitter
    .node('Split', [x, ones], { axis: 3 }, count)
    .map((part) => emitter.op('Squeeze', [part, builder.ints([3])]));
}

/** onnxruntime's MultiHeadAttention, of projected queries, keys and values, apart or packed. */
const multiHeadAttention: Converter = (conversion) => {
  const { inputs, attributes, emitter, outputCount } = conversion;
  const [query, key, value, bias, padding, added, pastKey] = inputs;
  const refuse = refusal(conversion, ofRuntime);
  if (pastKey || outputCount > 1) refuse('a cache');
  if (padding) refuse('a mask of padding');
  const heads = attributes.num_heads as number;
  const packed = !key
    ? unpacked(emitter, query!, 3)
    : key.shape.length === 5
      ? [query!, ...unpacked(emitter, key, 2)]
      : [query!, key, value!];
  const widthOf = (x: Value, shape: readonly Dim[] = x.shape): number =>
    shape.length === 3 ? (shape[2] as number) : heads * (shape[3] as number);
  const biases =
    bias && emitter.node('Split', [bias, emitter.builder.ints(packed.map((x) => widthOf(x)))], { axis: 0 }, 3);
  const [q, k, v] = packed.map((x, i) => {
    // Keys and values with heads before the sequence are ready, those unpacked are not.
    const isReady = x.shape.length === 4 && key !== undefined && key.shape.length === 4;
    if (isReady) return x;
    const flat = x.shape.length === 4 ? emitter.op('Reshape', [x, emitter.builder.ints([0, 0, -1])]) : x;
    return splitHeads(emitter, biases ? emitter.op('Add', [flat, biases[i]]) : flat, heads);
  }) as [Value, Value, Value];
  return [joinHeads(emitter, attend(emitter, [q, k, v], scoresOf(conversion, added), refuse))];
};

export const attentionConverters: Readonly<Record<string, Converter>> = {
  'Attention': attention,
  'com.microsoft.Attention': projectedAttention,
  'com.microsoft.MultiHeadAttention': multiHeadAttention,
};
