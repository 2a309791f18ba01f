import { numberOf, textOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Value } from '../../graph/graph.js';
import { float32 } from '../../tensor.js';
import type { Converter } from './conversion.js';
import type { Emitter } from './emitter.js';

/** GELU, exact or (`approximate` tanh) by its approximation. */
const geluOf = (emitter: Emitter, x: Value, approximate: string): Value => emitter.op('Gelu', [x], { approximate });

const gelu: Converter = ({ inputs: [x], attributes, emitter }) => [
  geluOf(emitter, x!, textOf(attributes, 'approximate', 'none')),
];

const fastGelu: Converter = ({ inputs: [x, bias], emitter }) => [
  geluOf(emitter, bias ? emitter.op('Add', [x, bias]) : x!, 'tanh'),
];
const biasGelu: Converter = ({ inputs: [x, bias], emitter }) => [geluOf(emitter, emitter.op('Add', [x, bias]), 'none')];

/** x sigmoid(alpha x) */
const swish =
  (alpha: number): Converter =>
  ({ inputs: [x], attributes, emitter }) => [emitter.op('Swish', [x], { alpha: numberOf(attributes, 'alpha', alpha) })];

/** x / sqrt(mean(x^2) + epsilon) * scale, over the axes from `axis` on. */
const rmsNormalization: Converter = ({ inputs: [x, scale], attributes, emitter }) => {
  const rank = x!.shape.length;
  const axis = numberOf(attributes, 'axis', -1);
  const from = axis < 0 ? axis + rank : axis;
  const axes = Array.from({ length: rank - from }, (_, i) => from + i);
  const square = emitter.op('ReduceMean', [emitter.op('Mul', [x, x])], { axes, keepdims: 1 });
  const norm = emitter.op('Sqrt', [emitter.op('Add', [square, numberOf(attributes, 'epsilon', 1e-5)])]);
  return [emitter.op('Mul', [emitter.op('Div', [x, norm]), scale])];
};

/** [batch, sequence, heads * size] -> [batch, heads, sequence, size] */
function splitHeads(emitter: Emitter, x: Value, heads: number): Value {
  const { builder } = emitter;
  return emitter.op('Transpose', [emitter.op('Reshape', [x, builder.ints([0, 0, heads, -1])])], { perm: [0, 2, 1, 3] });
}

/**
 * softmax(scale Q K^T + mask) V, with heads apart ([batch, heads, sequence, size]) or together
 * ([batch, sequence, heads * size]).
 */
const attention: Converter = ({ node, inputs, attributes, emitter, outputCount }) => {
  const { builder } = emitter;
  const [q0, k0, v0, mask, pastKey] = inputs;
  const refuse = (what: string): never => {
    throw new PupilError(
      'unsupported',
      `${node.name}: Attention with ${what} is not supported; export with an opset below 23`,
    );
  };
  if (pastKey || outputCount > 1) refuse('a cache');
  if (attributes.softcap) refuse('softcap');
  const together = q0!.shape.length === 3;
  const heads = attributes.q_num_heads as number;
  const keyHeads = attributes.kv_num_heads as number;
  const q = together ? splitHeads(emitter, q0!, heads) : q0!;
  const k = together ? splitHeads(emitter, k0!, keyHeads) : k0!;
  const v = together ? splitHeads(emitter, v0!, keyHeads) : v0!;
  if (q.shape[1] !== k.shape[1]) refuse('fewer key heads than query heads');
  const size = q.shape[3];
  if (typeof size !== 'number') return refuse('a head size known only at run time');
  const scale = numberOf(attributes, 'scale', 1 / Math.sqrt(size));
  // Scaled before the product, where there are fewer numbers.
  let scores = emitter.op('MatMul', [
    emitter.op('Mul', [q, scale]),
    emitter.op('Transpose', [k], { perm: [0, 1, 3, 2] }),
  ]);
  if (attributes.is_causal === 1) {
    const [rows, columns] = scores.shape.slice(2);
    if (typeof rows !== 'number' || typeof columns !== 'number')
      return refuse('a causal mask over a size known only at run time');
    const causal = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % columns > Math.floor(i / columns) ? -1e30 : 0,
    );
    scores = emitter.op('Add', [scores, builder.constant(float32([rows, columns], causal))]);
  }
  if (mask) {
    scores =
      mask.dtype === 'bool'
        ? emitter.op('Where', [mask, scores, builder.scalar(-1e30)])
        : emitter.op('Add', [scores, mask]);
  }
  const out = emitter.op('MatMul', [emitter.op('Softmax', [scores], { axis: -1 }), v]);
  if (!together) return [out];
  return [emitter.op('Reshape', [emitter.op('Transpose', [out], { perm: [0, 2, 1, 3] }), builder.ints([0, 0, -1])])];
};

export const compositeConverters: Readonly<Record<string, Converter>> = {
  'Gelu': gelu,
  'com.microsoft.Gelu': gelu,
  'com.microsoft.FastGelu': fastGelu,
  'com.microsoft.BiasGelu': biasGelu,
  'com.microsoft.QuickGelu': swish(1.702),
  'Swish': swish(1),
  'RMSNormalization': rmsNormalization,
  'SimplifiedLayerNormalization': rmsNormalization,
  'Attention': attention,
};
