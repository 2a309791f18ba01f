import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Image } from '../image/image.js';
import { noise } from '../testing/image-files.js';
import { checkOp, findOp, opNames, ops, type OpName, type OpOptions } from './ops.js';

const wide = noise(1, 40, 24);
/** Not all of 0..255, so that contrast can be stretched. */
const image: Image = { ...wide, data: wide.data.map((x) => 20 + (x >> 1)) };
const options: OpOptions = { sampling: 'nearest', fill: [9, 9, 9] };

/**
 * A value, its caption, and what becomes of the pixel at (8, 6): of itself or of where the op finds
 * it.
 */
const rows: Record<OpName, { value: number; says: string; pixel?: (image: Image) => readonly number[] }> = {
  identity: { value: 0, says: 'identity', pixel: at(8, 6) },
  brightness: { value: 0.5, says: 'brightness 0.5', pixel: (from) => at(8, 6)(from).map((x) => x >> 1) },
  contrast: { value: 1.3, says: 'contrast 1.3' },
  color: { value: 0, says: 'color 0', pixel: (from) => grey(at(8, 6)(from)) },
  hue: { value: 0.1, says: 'hue 0.1' },
  sharpness: { value: 1.27, says: 'sharpness 1.27' },
  autoContrast: { value: 0, says: 'auto-contrast' },
  equalize: { value: 0, says: 'equalize' },
  posterize: { value: 4, says: 'posterize 4 bits', pixel: (from) => at(8, 6)(from).map((x) => x & 0xf0) },
  solarize: { value: 0, says: 'solarize 0', pixel: (from) => at(8, 6)(from).map((x) => 255 - x) },
  solarizeAdd: {
    value: 40,
    says: 'solarize-add 40',
    pixel: (from) => at(8, 6)(from).map((x) => (x < 128 ? x + 40 : x)),
  },
  invert: { value: 0, says: 'invert', pixel: (from) => at(8, 6)(from).map((x) => 255 - x) },
  rotate: { value: 180, says: 'rotate 180°', pixel: at(31, 17) },
  shearX: { value: 0.27, says: 'shear-x 0.27' },
  shearY: { value: -0.3, says: 'shear-y -0.3' },
  translateX: { value: 3, says: 'translate-x 3 px', pixel: at(5, 6) },
  translateY: { value: -2, says: 'translate-y -2 px', pixel: at(8, 8) },
  grayscale: { value: 0, says: 'grayscale', pixel: (from) => grey(at(8, 6)(from)) },
  blur: { value: 1, says: 'blur 1' },
};

function at(x: number, y: number): (from: Image) => readonly number[] {
  return ({ width, data }) => [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

function grey([r = 0, g = 0, b = 0]: readonly number[]): readonly number[] {
  const luma = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
  return [luma, luma, luma];
}

for (const [name, { value, says, pixel }] of Object.entries(rows)) {
  test(`op ${name}`, () => {
    const op = ops[name as OpName];
    const before = image.data.slice();
    const result = op.apply(image, value, options);
    assert.deepEqual([result.width, result.height, result.data.length], [40, 24, 40 * 24 * 3]);
    assert.deepEqual(image.data, before, 'the input stays');
    assert.equal(op.describe(value), says);
    assert.equal(checkOp(op.name, value), value);
    if (pixel) assert.deepEqual(at(8, 6)(result), pixel(image));
    if (name !== 'identity') assert.notDeepEqual(result.data, image.data, 'something happens');
    if (op.neutral !== undefined) assert.equal(op.apply(image, op.neutral, options), image);
    const [low, high] = op.range(image);
    assert.ok(low >= op.limits[0] && high <= op.limits[1] && (op.unit === 'none' || low < high));
    assert.equal(op.signed, op.unit !== 'none' && low < 0);
    for (const size of [noise(2, 1, 1), noise(2, 1, 7), noise(2, 20_000, 3)]) {
      const small = op.apply(size, value, options);
      assert.deepEqual([small.width, small.height], [size.width, size.height]);
    }
  });
}

test('captions keep what a scale says', () => {
  assert.deepEqual(
    [ops.solarize.describe(178.5), ops.rotate.describe(-12.3456), ops.posterize.describe(1)],
    ['solarize 178.5', 'rotate -12.3°', 'posterize 1 bit'],
  );
});

test('every op has a row here', () => assert.deepEqual(Object.keys(rows), opNames));

test('geometric ops show the fill', () => {
  assert.deepEqual(at(0, 5)(ops.translateX.apply(image, 2, options)), [9, 9, 9]);
  assert.deepEqual(at(0, 0)(ops.rotate.apply(image, 45, options)), [9, 9, 9]);
});

test('ops are found in any case or hyphenation', () => {
  for (const name of ['shearX', 'shear-x', 'Shear_X', 'SHEARX', 'ShearX']) assert.equal(findOp(name), 'shearX');
  assert.deepEqual(['AutoContrast', 'Colour', 'saturation', 'autocontrast', 'solarize-add'].map(findOp), [
    'autoContrast',
    'color',
    'color',
    'autoContrast',
    'solarizeAdd',
  ]);
  assert.throws(() => findOp('rotat'), { code: 'usage', message: 'no op named "rotat": did you mean "rotate"?' });
  assert.throws(() => findOp('constructor'), { message: /^no op named "constructor": known: identity, brightness/ });
});

test('values that an op cannot take are refused in one line', () => {
  const refusals: [OpName, number, string][] = [
    ['rotate', 400, 'rotate 400: give degrees from -180 to 180'],
    ['shearX', NaN, 'shear-x NaN: give a tangent from -3 to 3'],
    ['posterize', 4.5, 'posterize 4.5: give whole bits kept from 0 to 8'],
    ['brightness', -1, 'brightness -1: give a factor (1 changes nothing) from 0 to 10'],
    ['translateX', Infinity, 'translate-x Infinity: give whole pixels from -100000 to 100000'],
    ['hue', 0.6, 'hue 0.6: give a share of the circle from -0.5 to 0.5'],
  ];
  for (const [name, value, message] of refusals) assert.throws(() => checkOp(name, value), { code: 'usage', message });
});
