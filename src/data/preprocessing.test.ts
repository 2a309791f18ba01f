import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { checkPreprocessing, makePreprocessing, parseNormalization } from './preprocessing.js';

test('normalize takes a name or MEAN/STD', () => {
  assert.deepEqual(parseNormalization('symmetric'), { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  assert.deepEqual(parseNormalization('unit').std, [1, 1, 1]);
  assert.deepEqual(parseNormalization('imagenet').mean, [0.485, 0.456, 0.406]);
  assert.deepEqual(parseNormalization('0.1,0.2,0.3/0.25'), { mean: [0.1, 0.2, 0.3], std: [0.25, 0.25, 0.25] });
  for (const text of ['', 'image-net', '1,2/3', '0.5', '0.5/0', '0.5/x', '0.5/', '1/2/3', 'toString']) {
    assert.throws(() => parseNormalization(text), { code: 'usage' }, text);
  }
});

test('preprocessing defaults follow the size', () => {
  assert.equal(makePreprocessing(224).resizeShort, 256);
  assert.equal(makePreprocessing(32).resizeShort, 32);
  assert.deepEqual(makePreprocessing([192, 128], { resizeShort: 200 }).size, [192, 128]);
  assert.throws(() => makePreprocessing(0), PupilError);
});

test('preprocessing read from a file is checked', () => {
  const good = makePreprocessing(96);
  assert.deepEqual(checkPreprocessing(JSON.parse(JSON.stringify(good)), 'm.onnx'), good);
  for (const change of [
    { size: [1] },
    { size: [1e9, 96] },
    { resizeShort: 1e9 },
    { resizeShort: 0 },
    { interpolation: 'nearest' },
    { crop: 'five' },
    { std: [1, 1, 0] },
    { mean: 'x' },
  ]) {
    assert.throws(() => checkPreprocessing({ ...good, ...change }, 'm.onnx'), /^PupilError: m\.onnx: /);
  }
});
