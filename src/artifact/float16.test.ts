import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFloat16 } from './float16.js';

test('float32 values round to the nearest half float, ties to even', () => {
  const cases: [number, number][] = [
    [0, 0],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519, 0x7bff],
    [65520, 0x7c00],
    [1e9, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1.5 * 2 ** -24, 0x0002],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [0.333251953125, 0x3555],
    [2 ** -15, 0x0200],
  ];
  for (const [value, expected] of cases) {
    assert.equal(toFloat16(Float32Array.of(value))[0], expected, `${value}`);
  }
  assert.equal(toFloat16(Float32Array.of(NaN))[0]! & 0x7c00, 0x7c00);
});
