import { attentionConverters } from './attention.js';
import { compositeConverters } from './composites.js';
import type { Conversion, Converter } from './conversion.js';
import { einsum } from './einsum.js';
import { fusedConverters } from './fused.js';
import { layerConverters } from './layers.js';
import { lstm } from './lstm.js';
import { rotaryConverters } from './rotary.js';
import { tensorConverters } from './tensor-ops.js';
import { writtenOutConverters } from './written-out.js';

/**
 * Ops whose form differs between opset 17 and others, or that are written out in other ops. All
 * others are copied as they are.
 */
export const converters: ReadonlyMap<string, Converter> = new Map<string, Converter>([
  ...Object.entries(layerConverters),
  ...Object.entries(tensorConverters),
  ...Object.entries(compositeConverters),
  ...Object.entries(attentionConverters),
  ...Object.entries(rotaryConverters),
  ...Object.entries(fusedConverters),
  ...Object.entries(writtenOutConverters),
  ['Einsum', einsum],
  ['LSTM', lstm],
]);

/** How many inputs a node of these ops must have; of the others that have a converter: one. */
const leastInputs: Readonly<Record<string, number>> = {
  'Add': 2,
  'Attention': 3,
  'BatchNormalization': 5,
  'CastLike': 2,
  'Col2Im': 3,
  'Conv': 2,
  'DequantizeLinear': 2,
  'Div': 2,
  'Expand': 2,
  'Gather': 2,
  'Gemm': 2,
  'GroupNormalization': 3,
  'LSTM': 3,
  'Mul': 2,
  'QuantizeLinear': 2,
  'RMSNormalization': 2,
  'RotaryEmbedding': 3,
  'Scatter': 3,
  'SimplifiedLayerNormalization': 2,
  'Sub': 2,
  'Where': 3,
  'com.microsoft.Attention': 2,
  'com.microsoft.BiasAdd': 3,
  'com.microsoft.BiasGelu': 2,
  'com.microsoft.BiasSoftmax': 2,
  'com.microsoft.DequantizeLinear': 2,
  'com.microsoft.FusedConv': 2,
  'com.microsoft.FusedGemm': 2,
  'com.microsoft.FusedMatMul': 2,
  'com.microsoft.GemmFastGelu': 2,
  'com.microsoft.NhwcConv': 2,
  'com.microsoft.NhwcFusedConv': 2,
  'com.microsoft.QuantizeLinear': 2,
  'com.microsoft.RotaryEmbedding': 4,
  'com.microsoft.SkipLayerNormalization': 3,
  'com.microsoft.SkipSimplifiedLayerNormalization': 3,
  'com.microsoft.TransposeMatMul': 2,
};

/** Brings a node to opset 17. Throws an Error when it lacks inputs or is otherwise no node of its op. */
export function convert(key: string, conversion: Conversion): ReturnType<Converter> {
  const missing = Array.from({ length: leastInputs[key] ?? 1 }, (_, i) => i).find((i) => !conversion.inputs[i]);
  if (missing !== undefined) throw new Error(`${conversion.node.op} needs an input ${missing}`);
  return converters.get(key)!(conversion);
}
