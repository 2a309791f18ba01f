import { numberOf, textOf } from '../../graph/attributes.js';
import type { Value } from '../../graph/graph.js';
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
export const rmsNormalization: Converter = ({ inputs: [x, scale], attributes, emitter }) => {
  const rank = x!.shape.length;
  const axis = numberOf(attributes, 'axis', -1);
  const from = axis < 0 ? axis + rank : axis;
  const axes = Array.from({ length: rank - from }, (_, i) => from + i);
  const square = emitter.op('ReduceMean', [emitter.op('Mul', [x, x])], { axes, keepdims: 1 });
  const norm = emitter.op('Sqrt', [emitter.op('Add', [square, numberOf(attributes, 'epsilon', 1e-5)])]);
  return [emitter.op('Mul', [emitter.op('Div', [x, norm]), scale])];
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
};
