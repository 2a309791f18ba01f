import { compositeConverters } from './composites.js';
import type { Converter } from './conversion.js';
import { tensorConverters } from './tensor-ops.js';
import { layerConverters } from './layers.js';

/**
 * Ops whose form differs between opset 17 and others, or that are written out in other ops. All
 * others are copied as they are.
 */
export const converters: ReadonlyMap<string, Converter> = new Map<string, Converter>([
  ...Object.entries(layerConverters),
  ...Object.entries(tensorConverters),
  ...Object.entries(compositeConverters),
]);
