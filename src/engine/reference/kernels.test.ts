import { testRows } from '../../testing/engine-rows.js';
import { createEngine } from '../index.js';

/** Rows that onnxruntime cannot run as they are. */
const elsewhere = new Set([
  'LRN, even size', // refused by its kernel
  'MeanOverRanks', // graphs are cut there
  // ONNX's own shape inference counts the last window, which begins in the end padding; the kernel
  // leaves it out as we do
  ...['MaxPool', 'AveragePool'].map((op) => `${op}, ceil_mode and pads`),
  'AveragePool, ceil_mode and pads, counting pads',
]);

testRows(() => createEngine('ort', { threads: 1 }), { elsewhere });
