import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  brightness,
  contrast,
  grayscale,
  hue,
  invert,
  lookUp,
  posterize,
  saturation,
  solarize,
  solarizeAdd,
} from './colour.js';
import { gaussianBlur, sharpness } from './filter.js';
import { autoContrast, equalize } from './histogram.js';
import { blank, imageOf, type Image } from './image.js';

const kernels: Readonly<Record<string, (image: Image, ...values: number[]) => Image>> = {
  brightness,
  contrast,
  saturation,
  sharpness,
  hue,
  grayscale,
  invert,
  posterize,
  solarize,
  solarizeAdd,
  autoContrast,
  equalize,
  gaussianBlur,
};

interface Case {
  readonly operation: string;
  readonly picture: string;
  readonly arguments: readonly number[];
  /** Of the result, where that is not stored. */
  readonly sha256?: string;
}

const folder = new URL('../../fixtures/image-colour/', import.meta.url);
const {
  versions,
  pictures: sizes,
  cases,
} = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as {
  versions: { pillow: string };
  pictures: Record<string, readonly [number, number]>;
  cases: readonly Case[];
};
const bytes = gunzipSync(readFileSync(new URL('cases.bin.gz', folder)));
let position = 0;
const next = ([width, height]: readonly [number, number]): Image =>
  imageOf(width, height, new Uint8Array(bytes.subarray(position, (position += width * height * 3))));

/** Every fourth level of each channel, red slowest: 512x512. */
function colours(): Image {
  const image = blank(512, 512);
  const level = (index: number): number => index * 4 + Math.floor(index / 21);
  for (let i = 0; i < 64 ** 3; i++) {
    image.data[3 * i] = level(i >> 12);
    image.data[3 * i + 1] = level((i >> 6) & 63);
    image.data[3 * i + 2] = level(i & 63);
  }
  return image;
}

const pictures = new Map(
  Object.entries(sizes).map(([name, size]) => [name, name === 'colours' ? colours() : next(size)]),
);
const expected = cases.map((c) => (c.sha256 === undefined ? next(sizes[c.picture]!) : undefined));
const hash = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

const untouched = new Map([...pictures].map(([name, image]) => [name, hash(image.data)]));

/** Levels a byte may be off; all others are equal to the byte. */
const tolerance: Readonly<Record<string, number>> = { gaussianBlur: 1 };

test('the fixture is read to its end', () => assert.equal(position, bytes.length));

for (const [kernel, apply] of Object.entries(kernels)) {
  test(`${kernel} gives the bytes of Pillow ${versions.pillow}`, () => {
    let count = 0;
    for (const [i, c] of cases.entries()) {
      if (c.operation !== kernel) continue;
      count++;
      const image = pictures.get(c.picture)!;
      const result = apply(image, ...c.arguments);
      const where = `${kernel}(${[c.picture, ...c.arguments].join(', ')})`;
      assert.deepEqual(
        [result.width, result.height, result.data.length],
        [image.width, image.height, image.data.length],
        where,
      );
      const want = expected[i];
      if (want === undefined) assert.equal(hash(result.data), c.sha256, where);
      else {
        let largest = 0;
        for (let k = 0; k < want.data.length; k++)
          largest = Math.max(largest, Math.abs(want.data[k]! - result.data[k]!));
        assert.ok(largest <= (tolerance[kernel] ?? 0), `${where} is off by ${largest}`);
      }
    }
    assert.ok(count > 0);
    for (const [name, image] of pictures)
      assert.equal(hash(image.data), untouched.get(name), `${kernel} changed ${name}`);
  });
}

test('what changes nothing gives the image itself', () => {
  const image = pictures.get('busy')!;
  const unchanged: readonly (readonly [string, ...number[]])[] = [
    ['brightness', 1],
    ['contrast', 1],
    ['saturation', 1],
    ['sharpness', 1],
    ['hue', 0],
    ['posterize', 8],
    ['solarize', 256],
    ['solarizeAdd', 0],
    ['gaussianBlur', 0],
    ['gaussianBlur', 2, 1],
  ];
  for (const [kernel, ...values] of unchanged) assert.equal(kernels[kernel]!(image, ...values), image, kernel);
  const flat = pictures.get('flat')!;
  assert.equal(autoContrast(flat), flat);
  assert.equal(equalize(flat), flat);
});

test('no bits leave black', () => assert.ok(posterize(pictures.get('busy')!, 0).data.every((value) => value === 0)));

test('tables work on arrays of any length and start', () => {
  const table = Uint8Array.from({ length: 256 }, (_, value) => (value * 7) & 255);
  for (const start of [0, 1, 4]) {
    for (const width of [1, 2, 3, 4, 5]) {
      const data = new Uint8Array(40).subarray(start, start + width * 3);
      data.forEach((_, i) => {
        data[i] = 255 - 9 * i;
      });
      assert.deepEqual(
        [...lookUp(imageOf(width, 1, data), table).data],
        [...data].map((value) => table[value]),
        `${start} ${width}`,
      );
      assert.deepEqual(
        [...invert(imageOf(width, 1, data)).data],
        [...data].map((value) => 255 - value),
      );
    }
  }
});

test('blur keeps flat pictures, however small, and takes a kernel size from sigma', () => {
  for (const [width, height, sigma, size] of [
    [1, 1, 0.5, 3],
    [2, 2, 1, 7],
    [5, 1, 4, 23],
    [1, 9, 1, 3],
    [3, 4, 20, 121],
    [20, 30, 90, 301],
  ] as const) {
    const image = blank(width, height, [255, 128, 1]);
    assert.deepEqual(gaussianBlur(image, sigma, size).data, image.data, `${width}x${height}`);
  }
  const image = pictures.get('busy')!;
  for (const [sigma, size] of [
    [0.1, 3],
    [0.5, 5],
    [1, 7],
    [2, 13],
  ] as const) {
    assert.deepEqual(gaussianBlur(image, sigma).data, gaussianBlur(image, sigma, size).data);
  }
});
