import { attentionConverters } from './attention.js';
import { compositeConverters } from './composites.js';
import type { Converter } from './conversion.js';
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
