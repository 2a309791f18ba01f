import assert from 'node:assert/strict';
import { test } from 'node:test';
import { philox, Random } from './random.js';

test('philox matches the Random123 known-answer vectors', () => {
  const out = new Uint32Array(4);
  philox([0, 0, 0, 0], [0, 0], out);
  assert.deepEqual([...out], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  philox([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], out);
  assert.deepEqual([...out], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], out);
  assert.deepEqual([...out], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
});

test('streams repeat for equal keys and differ for others', () => {
  const draw = (...keys: (string | number)[]): number[] => {
    const random = new Random(7, ...keys);
    return Array.from({ length: 9 }, () => random.uint32());
  };
  assert.deepEqual(draw('a', 1), draw('a', 1));
  assert.notDeepEqual(draw('a', 1), draw('a', 2));
  assert.notDeepEqual(draw('a', 1), draw('b', 1));
});

test('distributions have the right moments', () => {
  const random = new Random(1, 'moments');
  const count = 20000;
  const mean = (draw: () => number): number => Array.from({ length: count }, draw).reduce((a, b) => a + b, 0) / count;
  assert.ok(Math.abs(mean(() => random.uniform()) - 0.5) < 0.01);
  assert.ok(Math.abs(mean(() => random.normal())) < 0.03);
  assert.ok(Math.abs(mean(() => random.normal() ** 2) - 1) < 0.05);
  assert.ok(Math.abs(mean(() => random.beta(0.4, 0.4)) - 0.5) < 0.015);
  assert.ok(Math.abs(mean(() => random.gamma(2.5)) - 2.5) < 0.05);
  assert.deepEqual(
    random.shuffle([1, 2, 3, 4, 5]).sort((a, b) => a - b),
    [1, 2, 3, 4, 5],
  );
});
