import { testRows } from '../../../../testing/engine-rows.js';
import { withoutWebgpu } from '../../../../testing/webgpu.js';
import { createEngine } from '../../../index.js';

/** Rows that onnxruntime cannot run as they are, on the CPU either (reference/kernels.test.ts). */
const elsewhere = [
  ...['one axis', 'one axis, strided', 'three axes', 'three axes, strided and grouped'].map(
    (about) => `Conv, ${about}`,
  ),
  ...['one axis', 'three axes', 'three axes, padded, ceil_mode'].flatMap((about) => [
    `MaxPool, ${about}`,
    `AveragePool, ${about}`,
    `AveragePool, ${about}, counting pads`,
  ]),
  'LRN, even size',
  'MeanOverRanks',
  ...['MaxPool', 'AveragePool'].map((op) => `${op}, ceil_mode and pads`),
  'AveragePool, ceil_mode and pads, counting pads',
];

/**
 * What a GPU may do otherwise: no float16 without the feature for it, NaN need not be kept, and no
 * kernel gives the places of MaxPool.
 */
const otherwise = ['Cast, float32 to float16', 'Relu, NaN', 'MaxPool, with indices'];

/** The language of shaders promises 2^-11 for these. */
const coarse = ['Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Asinh', 'Acosh', 'Atanh'];

testRows(() => createEngine('webgpu'), {
  elsewhere: new Set([...elsewhere, ...otherwise, ...coarse]),
  skip: withoutWebgpu,
});
testRows(() => createEngine('webgpu'), { only: new Set(coarse), tolerance: 1e-3, skip: withoutWebgpu });
