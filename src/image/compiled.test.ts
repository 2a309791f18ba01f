import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Random } from '../random.js';
import { affine, rotate, shear } from './affine.js';
import { brightness, contrast, saturation, solarize } from './colour.js';
import { flipHorizontal } from './crop.js';
import { sharpness } from './filter.js';
import { binary } from './generated/kernels.js';
import { autoContrast, equalize } from './histogram.js';
import type { Box, Image } from './image.js';
import { reserve, useCompiledKernels } from './compiled.js';
import { resize, type Interpolation } from './resize.js';

test(
  'the compiled kernels are those of assembly/',
  { skip: existsSync(new URL('../../tools/node_modules', import.meta.url)) ? false : 'needs npm ci --prefix tools' },
  async () => {
    const generator = (await import(new URL('../../tools/kernels.js', import.meta.url).href)) as {
      generate(): Promise<string>;
    };
    assert.ok(
      (await generator.generate()).replace(/[^]*= \[|[\s',]|\]\.join[^]*/g, '') === binary,
      'assembly/ has changed: npm run generate',
    );
  },
);

function plainly<T>(work: () => T): T {
  useCompiledKernels(false);
  try {
    return work();
  } finally {
    useCompiledKernels(true);
  }
}

const plain = (image: Image, width: number, height: number, interpolation: Interpolation, box?: Box): Image =>
  plainly(() => resize(image, width, height, interpolation, box));

const kernels: Readonly<Record<string, (image: Image, share: number) => Image>> = {
  brightness: (image, share) => brightness(image, 2 * share),
  contrast: (image, share) => contrast(image, 3 * share),
  saturation: (image, share) => saturation(image, 3 * share),
  sharpness: (image, share) => sharpness(image, 4 * share),
  solarize: (image, share) => solarize(image, Math.round(256 * share)),
  autoContrast,
  equalize,
  flipHorizontal,
  rotate: (image, share) => rotate(image, 360 * share, 'nearest', [9, 99, 199]),
  shear: (image, share) => shear(image, share, 0.5 - share, 'nearest'),
  affine: (image, share) => affine(image, [2 * share - 1, 0.3, 10 * share, -share, 0.01, 3], 'nearest', [1, 2, 3]),
};

for (const [name, kernel] of Object.entries(kernels)) {
  test(`compiled and plain ${name} are equal`, () => {
    const random = new Random(9, name);
    for (let i = 0; i < 40; i++) {
      const [width, height] =
        i < 9 ? [1 + (i % 3), 1 + Math.floor(i / 3)] : [1 + random.integer(60), 1 + random.integer(50)];
      const image = {
        width,
        height,
        data: Uint8Array.from({ length: width * height * 3 }, () =>
          i % 3 === 0 ? 40 + random.integer(60) : random.integer(256),
        ),
      };
      const before = Uint8Array.from(image.data);
      const share = random.between(0, 1);
      assert.deepEqual(
        kernel(image, share),
        plainly(() => kernel(image, share)),
        `${width}x${height}, ${share}`,
      );
      assert.deepEqual(image.data, before);
    }
  });
}

test('compiled and plain resize are equal', () => {
  const random = new Random(5, 'resize');
  const size = (most: number): number => 1 + random.integer(random.chance(0.2) ? 4 : most);
  for (let i = 0; i < 150; i++) {
    const width = size(90),
      height = size(70);
    const kind = random.integer(3);
    const image = {
      width,
      height,
      data: Uint8Array.from({ length: width * height * 3 }, () =>
        kind === 0 ? random.integer(256) : 255 * random.integer(2),
      ),
    };
    const boxWidth = kind === 1 ? size(width) : width * random.between(0.05, 1),
      boxHeight = kind === 1 ? size(height) : height * random.between(0.05, 1);
    const box = {
      left: random.between(0, Math.max(0, width - boxWidth)),
      top: random.between(0, Math.max(0, height - boxHeight)),
      width: Math.min(width, boxWidth),
      height: Math.min(height, boxHeight),
    };
    const to = [random.chance(0.1) ? width : size(80), random.chance(0.1) ? height : size(80)] as const;
    const given = i % 3 === 0 ? undefined : box;
    const interpolation = i % 2 === 0 ? 'bilinear' : 'bicubic';
    const before = Uint8Array.from(image.data);
    const fast = resize(image, ...to, interpolation, given);
    assert.deepEqual(
      fast,
      plain(image, ...to, interpolation, given),
      `${width}x${height} to ${to.join('x')} ${interpolation} ${JSON.stringify(given)}`,
    );
    assert.deepEqual(image.data, before);
  }
});

test('photos that are copied in several bands are resized as a whole', () => {
  const [width, height] = [1500, 2100];
  const image = { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i) % 253) };
  const box = { left: 3.5, top: 700.25, width: 1400, height: 1350.5 };
  for (const given of [undefined, box]) {
    assert.deepEqual(resize(image, 90, 70, 'bicubic', given), plain(image, 90, 70, 'bicubic', given));
    assert.deepEqual(resize(image, 90, height, 'bilinear'), plain(image, 90, height, 'bilinear'));
  }
});

test('very long and very thin images are resized', () => {
  const image = { width: 20_000, height: 2, data: Uint8Array.from({ length: 120_000 }, (_, i) => (i * 7) % 251) };
  assert.deepEqual(resize(image, 224, 224), plain(image, 224, 224, 'bilinear'));
  assert.deepEqual(resize(image, 1, 1, 'bicubic'), plain(image, 1, 1, 'bicubic'));
});

test('memory that one call needed is not kept', () => {
  assert.ok(reserve(100 * 2 ** 20) !== undefined);
  assert.ok(reserve(10)!.kernels.memory.buffer.byteLength <= 2 ** 20);
  assert.equal(reserve(2 ** 30), undefined, 'more than a call may take');
});
