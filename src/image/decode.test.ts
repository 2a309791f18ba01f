import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { refused } from '../testing/kit.js';
import { decode, encodePng } from './decode.js';
import { imageFormat } from './format.js';
import type { Image } from './image.js';

const folder = new URL('../../fixtures/image/formats/', import.meta.url);
const read = (name: string): Uint8Array => readFileSync(new URL(name, folder));
const pixel = ({ width, data }: Image, x: number, y: number): number[] => [
  ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];
const near = (actual: readonly number[], wanted: readonly number[], tolerance: number, what: string): void => {
  assert.ok(
    actual.every((value, i) => Math.abs(value - wanted[i]!) <= tolerance),
    `${what}: got ${actual.join(',')}, expected ${wanted.join(',')}`,
  );
};

// The picture of make.py: left red, right blue, a green square at the top left.
const corners: readonly [x: number, y: number, colour: readonly [number, number, number]][] = [
  [4, 4, [40, 200, 60]],
  [18, 24, [220, 30, 40]],
  [4, 24, [220, 30, 40]],
  [40, 4, [20, 60, 200]],
  [40, 28, [20, 60, 200]],
];

const colourFiles: readonly [name: string, tolerance: number][] = [
  ['plain.jpg', 6],
  ['progressive.jpg', 6],
  ['plain.png', 0],
  ['plain.webp', 0],
  ['plain.gif', 2],
  ['plain.tiff', 0],
  ['plain.avif', 12],
  ['plain.bmp', 0],
  ['plain.heic', 6],
  ['turned.heic', 6],
  ['p3.heic', 16],
  ['palette.png', 4],
  ['rgb16.png', 0],
  ['animated.gif', 2],
  ['animated.webp', 0],
  ...Array.from({ length: 8 }, (_, i) => [`exif${i + 1}.jpg`, 6] as [string, number]),
];

for (const [name, tolerance] of colourFiles) {
  test(`decodes ${name}`, async () => {
    const image = await decode(read(name), name);
    assert.deepEqual([image.width, image.height, image.data.length], [48, 32, 48 * 32 * 3]);
    for (const [x, y, colour] of corners) near(pixel(image, x, y), colour, tolerance, `${name} at ${x},${y}`);
  });
}

test('grey becomes three equal channels', async () => {
  for (const name of ['grey.jpg', 'bits1.png', 'grey16.png', 'grey16.tiff', 'grey-alpha.png']) {
    const { data, width, height } = await decode(read(name), name);
    assert.equal(data.length, width * height * 3);
    for (let i = 0; i < data.length; i += 3) assert.ok(data[i] === data[i + 1] && data[i] === data[i + 2], name);
  }
  near(pixel(await decode(read('grey.jpg'), 'grey.jpg'), 18, 24), [88, 88, 88], 4, 'luma of red');
});

test('16-bit grey is scaled to 8 bits', async () => {
  for (const name of ['grey16.png', 'grey16.tiff']) {
    const image = await decode(read(name), name);
    for (const x of [0, 12, 24, 40, 47])
      near(
        pixel(image, x, 9),
        [1, 1, 1].map(() => (255 * x) / 47),
        1.5,
        `${name} at ${x}`,
      );
  }
});

test('transparent pixels show white', async () => {
  const image = await decode(read('alpha.png'), 'alpha.png');
  assert.deepEqual(pixel(image, 45, 9), [255, 255, 255]);
  assert.deepEqual(pixel(image, 18, 24), [220, 30, 40]);
});

test('CMYK becomes RGB', async () => {
  const image = await decode(read('cmyk.jpg'), 'cmyk.jpg');
  const [r, g, b] = pixel(image, 18, 24);
  assert.ok(r! > 150 && g! < 90 && b! < 100, `red is ${r},${g},${b}`);
  const [r2, , b2] = pixel(image, 40, 28);
  assert.ok(b2! > 100 && r2! < 60, `blue is ${r2},,${b2}`);
});

const refusal = async (bytes: Uint8Array, wanted: RegExp): Promise<void> => {
  await assert.rejects(decode(bytes, 'some/file.jpg'), refused('bad-data', /^some\/file\.jpg: /));
  await assert.rejects(decode(bytes, 'some/file.jpg'), refused('bad-data', wanted));
};

test('files cut short are refused in every format', async () => {
  for (const name of [
    'plain.jpg',
    'progressive.jpg',
    'plain.png',
    'plain.webp',
    'plain.gif',
    'plain.tiff',
    'plain.avif',
    'plain.bmp',
    'plain.heic',
    'rgb16.png',
    'grey.jpg',
  ]) {
    const bytes = read(name);
    for (const share of [0.2, 0.5, 0.9]) {
      await assert.rejects(
        decode(bytes.subarray(0, Math.floor(bytes.length * share)), name),
        PupilError,
        `${name} cut at ${share}`,
      );
    }
  }
});

test('what is no image is refused with its reason', async () => {
  await refusal(new Uint8Array(0), /empty/);
  await refusal(new TextEncoder().encode('path,label\n'), /not an image/);
  await refusal(
    new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    /not an image/,
  );
  const noise = Uint8Array.from(read('plain.jpg'));
  noise.fill(0x5a, 3, 200);
  await refusal(noise, /cannot be decoded as JPEG/);
});

test('a huge declared size is refused before memory is taken', async () => {
  const bytes = Buffer.from(read('plain.png'));
  bytes.writeUInt32BE(60000, 16);
  bytes.writeUInt32BE(60000, 20);
  await refusal(
    bytes,
    /60000 x 60000 pixels \(3600 megapixels\), and a PNG may have at most 134.2 megapixels; scale it down$/,
  );
});

test('encodePng keeps the pixels', async () => {
  const image = await decode(read('plain.png'), 'plain.png');
  const again = await decode(await encodePng(image), 'again');
  assert.deepEqual(again.data, image.data);
});

test('signatures are recognised from 32 bytes', () => {
  const names = readdirSync(folder);
  for (const name of names) assert.ok(imageFormat(read(name).subarray(0, 32)).readable, name);
  const brand = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1');
  assert.equal(imageFormat(brand).name, 'HEIC');
});

const photos = new URL('../../../shared/data/hymenoptera/train/ants/', import.meta.url);
test('a photo cut at any point is refused', { skip: existsSync(photos) ? false : 'needs ../shared/data' }, async () => {
  const bytes = readFileSync(new URL(readdirSync(photos).sort()[0]!, photos));
  assert.ok((await decode(bytes, 'photo')).width > 200);
  for (const left of [100, 1000, Math.floor(bytes.length / 2), bytes.length - 500, bytes.length - 50]) {
    await assert.rejects(decode(bytes.subarray(0, left), 'photo'), PupilError, `${left} of ${bytes.length} bytes`);
  }
});
