import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { rotate } from './affine.js';
import { affine, type AffineMatrix, type Sampling } from './affine.js';
import { brightness, contrast, saturation } from './colour.js';
import { centreCrop, crop, flipHorizontal } from './crop.js';
import { blank, imageOf, type Image } from './image.js';
import { resize, resizeShort, type Interpolation } from './resize.js';

interface Case {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly interpolation?: Interpolation;
  readonly box?: readonly [number, number, number, number];
  readonly short?: number;
  readonly sampling?: Sampling;
  readonly matrix?: AffineMatrix;
  readonly degrees?: number;
  readonly factor?: number;
}

const folder = new URL('../../fixtures/image/', import.meta.url);
const { cases, pillow } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as {
  cases: Case[];
  pillow: string;
};
const bytes = gunzipSync(readFileSync(new URL('cases.bin.gz', folder)));
let position = 0;
const expected = cases.map(({ width, height }) => {
  const start = position;
  position += width * height * 3;
  return imageOf(width, height, new Uint8Array(bytes.subarray(start, position)));
});
const source = expected[0]!;

const compute: Readonly<Record<string, (c: Case) => Image>> = {
  source: () => source,
  resize: ({ width, height, interpolation }) => resize(source, width, height, interpolation),
  resizeBox: ({ width, height, interpolation, box }) => {
    const [left, top, right, bottom] = box!;
    return resize(source, width, height, interpolation, { left, top, width: right - left, height: bottom - top });
  },
  resizeShort: ({ short, interpolation }) => resizeShort(source, short!, interpolation),
  centreCrop: ({ width, height }) => centreCrop(source, width, height),
  flip: () => flipHorizontal(source),
  affine: ({ matrix, sampling }) => affine(source, matrix!, sampling, [9, 99, 199]),
  rotate: ({ degrees, sampling }) => rotate(source, degrees!, sampling),
  brightness: ({ factor }) => brightness(source, factor!),
  contrast: ({ factor }) => contrast(source, factor!),
  saturation: ({ factor }) => saturation(source, factor!),
};

test(`kernels give the pixels of Pillow ${pillow} and torchvision`, async (t) => {
  for (const [i, c] of cases.entries()) {
    const { name, width, height, ...rest } = c;
    await t.test(`${name} ${width}x${height} ${JSON.stringify(rest)}`, () => {
      const image = compute[name]!(c);
      assert.deepEqual([image.width, image.height], [width, height]);
      let largest = 0,
        differing = 0;
      image.data.forEach((value, k) => {
        const difference = Math.abs(value - expected[i]!.data[k]!);
        if (difference > 0) differing++;
        if (difference > largest) largest = difference;
      });
      assert.ok(differing === 0, `largest difference ${largest}, ${differing} of ${image.data.length} differ`);
    });
  }
});

test('kernels leave their input alone', () => {
  const before = Uint8Array.from(source.data);
  for (const c of cases) compute[c.name]!(c);
  assert.deepEqual(source.data, before);
});

test('crop fills what lies outside', () => {
  const white = blank(2, 2, [255, 255, 255]);
  assert.deepEqual(
    [...crop(white, { left: -1, top: 0, width: 2, height: 3 }, [1, 2, 3]).data],
    [1, 2, 3, 255, 255, 255, 1, 2, 3, 255, 255, 255, 1, 2, 3, 1, 2, 3],
  );
  assert.deepEqual([...crop(white, { left: 5, top: 5, width: 1, height: 1 }).data], [0, 0, 0]);
});

test('resize refuses boxes outside the image', () => {
  assert.throws(() => resize(source, 4, 4, 'bilinear', { left: 80, top: 0, width: 10, height: 10 }), /outside 83x61/);
  assert.throws(() => resize(source, 0, 4), /impossible size/);
});

test('images check their size', () => {
  assert.throws(() => imageOf(2, 2, new Uint8Array(5)), /5 bytes/);
});
