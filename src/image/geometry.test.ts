import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Random } from '../random.js';
import {
  affine,
  affineMatrix,
  rotate,
  shear,
  translate,
  type AffineMatrix,
  type AffineParameters,
  type Sampling,
} from './affine.js';
import { allocate, release } from './buffers.js';
import { crop, flipHorizontal, flipVertical } from './crop.js';
import { erase } from './erase.js';
import { blank, imageOf, type Colour, type Image } from './image.js';
import { perspective, perspectiveCoefficients, type Corners, type PerspectiveCoefficients } from './perspective.js';

interface Case {
  readonly operation: string;
  readonly width: number;
  readonly height: number;
  readonly columns?: readonly [from: number, to: number];
  readonly sampling: Sampling;
  readonly fill: Colour;
  readonly degrees: number;
  readonly by: readonly [x: number, y: number];
  readonly parameters: AffineParameters;
  readonly values: readonly number[];
  readonly start: Corners;
  readonly end: Corners;
}

/** The picture of the fixtures: red counts columns, green counts rows, blue is busy. */
function picture(width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data[i++] = x * 3;
      data[i++] = y * 4;
      data[i++] = x * x * 7 + y * y * 13 + x * y * 31;
    }
  }
  return imageOf(width, height, data);
}

/**
 * One row an operation: how it is computed, and the share of pixels that may differ from Pillow's
 * by more than nothing.
 */
const operations: Readonly<
  Record<string, { readonly differing: number; readonly compute: (image: Image, c: Case) => Image }>
> = {
  rotate: { differing: 0, compute: (image, { degrees, sampling, fill }) => rotate(image, degrees, sampling, fill) },
  shear: { differing: 0, compute: (image, { by: [x, y], sampling, fill }) => shear(image, x, y, sampling, fill) },
  translate: {
    differing: 0,
    compute: (image, { by: [x, y], sampling, fill }) => translate(image, x, y, sampling, fill),
  },
  affine: {
    differing: 0,
    compute: (image, { parameters, sampling, fill }) => affine(image, affineMatrix(parameters, image), sampling, fill),
  },
  matrix: {
    differing: 0,
    compute: (image, { values, sampling, fill }) => affine(image, values as unknown as AffineMatrix, sampling, fill),
  },
  // Corners whose coefficients hold no exact zero: for those, torchvision's least squares leave
  // noise of 1e-16 where ours are 0.
  corners: {
    differing: 0,
    compute: (image, { start, end, sampling, fill }) =>
      perspective(image, perspectiveCoefficients(start, end), sampling, fill),
  },
  coefficients: {
    differing: 0,
    compute: (image, { values, sampling, fill }) =>
      perspective(image, values as unknown as PerspectiveCoefficients, sampling, fill),
  },
  flipHorizontal: { differing: 0, compute: flipHorizontal },
  flipVertical: { differing: 0, compute: flipVertical },
};

const folder = new URL('../../fixtures/image-geometry/', import.meta.url);
const { cases, pillow } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as {
  cases: Case[];
  pillow: string;
};
const bytes = gunzipSync(readFileSync(new URL('cases.bin.gz', folder)));

/** Puts an array full of rubbish where the next kernel takes its output from. */
const poison = (length: number): void => release(allocate(length).fill(0xab));

const differingPixels = (a: Uint8Array, b: Uint8Array): number => {
  let count = 0;
  for (let i = 0; i < a.length; i += 3) if (a[i] !== b[i] || a[i + 1] !== b[i + 1] || a[i + 2] !== b[i + 2]) count++;
  return count;
};

test(`geometric kernels give the pixels of Pillow ${pillow}`, async (t) => {
  let position = 0;
  const groups = new Map<string, (() => void)[]>();
  for (const c of cases) {
    const { operation, width, height, columns } = c;
    const shown = columns === undefined ? width : columns[1] - columns[0];
    const expected = bytes.subarray(position, (position += shown * height * 3));
    const name = `${operation} ${c.sampling ?? ''}`;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name)!.push(() => {
      const source = picture(width, height);
      poison(source.data.length);
      const image = operations[operation]!.compute(source, c);
      assert.deepEqual([image.width, image.height], [width, height]);
      const actual = columns === undefined ? image : crop(image, { left: columns[0], top: 0, width: shown, height });
      const differing = differingPixels(actual.data, expected);
      assert.ok(
        differing <= operations[operation]!.differing * shown * height,
        `${differing} of ${shown * height} pixels differ: ${JSON.stringify(c)}`,
      );
      assert.equal(differingPixels(source.data, picture(width, height).data), 0, 'the input is left alone');
    });
  }
  assert.equal(position, bytes.length);
  for (const [name, checks] of groups)
    await t.test(`${name}, ${checks.length} cases`, () => {
      for (const check of checks) check();
    });
});

test('nothing to do gives the same image, anything else a new one', () => {
  const image = picture(9, 5);
  for (const same of [rotate(image, 0), rotate(image, -720), translate(image, 0, 0), shear(image, 0, 0)])
    assert.equal(same, image);
  for (const other of [
    rotate(image, 180),
    translate(image, 1, 0),
    shear(image, 0.1, 0),
    flipVertical(image),
    crop(image, { left: 0, top: 0, width: 9, height: 5 }),
  ]) {
    assert.notEqual(other.data, image.data);
  }
});

test('quarter turns of squares move whole pixels, four of them nothing', () => {
  const image = picture(6, 6);
  let turned = image;
  for (let i = 0; i < 4; i++) turned = rotate(turned, 90);
  assert.deepEqual(turned.data, image.data);
  assert.deepEqual(rotate(rotate(image, 90), 270).data, image.data);
  assert.deepEqual(
    rotate(image, 90).data.subarray(0, 3),
    image.data.subarray(15, 18),
    'counter-clockwise: the top right corner comes to the top left',
  );
});

test('a matrix that is no map is refused', () => {
  const image = picture(3, 3);
  assert.throws(() => affine(image, [1, 0, NaN, 0, 1, 0]), /affine: matrix/);
  assert.throws(() => affineMatrix({ scale: 0 }, image), /scale 0/);
  assert.throws(() => perspectiveCoefficients([[0, 0]], [[0, 0]]), /1 and 1 corners/);
});

test('corners without an area leave the picture as it is', () => {
  for (const image of [picture(1, 1), picture(1, 8)]) {
    const [right, bottom] = [image.width - 1, image.height - 1];
    const corners: Corners = [
      [0, 0],
      [right, 0],
      [right, bottom],
      [0, bottom],
    ];
    assert.deepEqual(perspective(image, perspectiveCoefficients(corners, corners), 'bilinear').data, image.data);
  }
});

test('crop writes every byte of its output', () => {
  const image = picture(5, 4);
  const at = (x: number, y: number): Uint8Array => image.data.subarray((y * 5 + x) * 3, (y * 5 + x) * 3 + 3);
  const fill: Colour = [1, 2, 3];
  for (const [left, top, width, height] of [
    [0, 0, 5, 4],
    [1, 1, 3, 2],
    [-2, -1, 9, 7],
    [0, -3, 5, 9],
    [4, 3, 5, 4],
    [-9, 0, 5, 4],
    [0, 9, 5, 4],
    [0, 1, 5, 2],
  ] as const) {
    poison(width * height * 3);
    const { data } = crop(image, { left, top, width, height }, fill);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const inside = x + left >= 0 && x + left < 5 && y + top >= 0 && y + top < 4;
        assert.deepEqual(
          [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)],
          inside ? [...at(x + left, y + top)] : fill,
        );
      }
    }
  }
});

test('erase fills the part of the rectangle that is inside', () => {
  const image = blank(6, 4, [9, 9, 9]);
  poison(image.data.length);
  const { data } = erase(image, { left: 4, top: -1, width: 10, height: 3 }, [1, 2, 3]);
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 6; x++) {
      assert.deepEqual(
        [...data.subarray((y * 6 + x) * 3, (y * 6 + x) * 3 + 3)],
        x >= 4 && y < 2 ? [1, 2, 3] : [9, 9, 9],
      );
    }
  }
  assert.ok(image.data.every((value) => value === 9));
  assert.equal(erase(image, { left: 6, top: 0, width: 5, height: 5 }, [1, 2, 3]), image);
  assert.equal(erase(image, { left: 1, top: 1, width: 0, height: 5 }, [1, 2, 3]), image);
});

test('erased noise is normal around mid-grey, of its own in each channel, and can be drawn again', () => {
  const image = blank(200, 150, [0, 0, 0]);
  const box = { left: 0, top: 0, width: 200, height: 150 };
  const draw = (): Uint8Array => erase(image, box, { noise: new Random(3, 'erase') }).data;
  const data = draw();
  assert.deepEqual(draw(), data);
  const means = [0, 0, 0];
  let squares = 0,
    within = 0,
    redGreen = 0;
  for (let i = 0; i < data.length; i += 3) {
    for (let k = 0; k < 3; k++) {
      const z = data[i + k]! - 128;
      means[k]! += z;
      squares += z * z;
      if (Math.abs(z) < 64) within++;
    }
    redGreen += (data[i]! - 128) * (data[i + 1]! - 128);
  }
  const pixels = data.length / 3;
  for (const sum of means) assert.ok(Math.abs(sum / pixels) < 2, `mean ${128 + sum / pixels}`);
  const deviation = Math.sqrt(squares / data.length);
  assert.ok(deviation > 60 && deviation < 64, `standard deviation ${deviation}, a little below 64 by clipping`);
  assert.ok(Math.abs(within / data.length - 0.6827) < 0.01, `${within / data.length} within one deviation`);
  assert.ok(Math.abs(redGreen / pixels) < 0.03 * 64 * 64, 'channels are independent');
});
