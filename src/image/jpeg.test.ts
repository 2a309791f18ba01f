import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Random } from '../random.js';
import { decode, maximumPixels } from './decode.js';
import type { Image } from './image.js';
import { decodeJpeg, useTurbo } from './jpeg.js';

const folder = new URL('../../tests/fixtures/jpeg/', import.meta.url);
const formats = new URL('../../tests/fixtures/image/formats/', import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as { cases: { name: string; width: number; height: number }[] };
const expected = gunzipSync(readFileSync(new URL('pixels.bin.gz', folder)));
const read = (name: string, from = folder): Uint8Array => readFileSync(new URL(`${name}.jpg`, from));

const installed = await decodeJpeg(read('grey'), maximumPixels) !== undefined;
const optional = { skip: installed ? false : 'optional library: @julusian/jpeg-turbo has no binary for this machine' };

/** The image by the codec library alone; undefined where it refuses. */
async function byLibrary(bytes: Uint8Array): Promise<Image | undefined> {
  useTurbo(false);
  try {
    return await decode(bytes, 'file');
  } catch {
    return undefined;
  } finally {
    useTurbo(true);
  }
}

/** Largest and mean difference of two images' bytes. */
function difference(a: Uint8Array, b: Uint8Array): { largest: number; mean: number } {
  assert.equal(a.length, b.length);
  let largest = 0, sum = 0;
  for (let i = 0; i < a.length; i++) {
    const one = Math.abs(a[i]! - b[i]!);
    largest = Math.max(largest, one);
    sum += one;
  }
  return { largest, mean: sum / a.length };
}

// The decoder takes libjpeg's fast integer transform, Pillow and the library the accurate one. They are a level apart in the mean, most at
// quality 100, where the fast one rounds more coarsely than the file.
const near = (a: Uint8Array, b: Uint8Array, what: string): void => {
  const { largest, mean } = difference(a, b);
  const [most, usual] = what.includes('q100') ? [60, 5] : [8, 1.25];
  assert.ok(largest <= most && mean <= usual, `${what}: largest difference ${largest}, mean ${mean}`);
};

test('common JPEGs give the pixels of Pillow but for rounding', optional, async (t) => {
  let position = 0;
  for (const { name, width, height } of cases) {
    const start = position;
    position += width * height * 3;
    await t.test(name, async () => {
      const image = await decodeJpeg(read(name), maximumPixels);
      assert.ok(image !== undefined, 'left to the library');
      assert.deepEqual([image.width, image.height], [width, height]);
      near(image.data, expected.subarray(start, start + image.data.length), name);
    });
  }
});

test('EXIF orientations turn the image as the library does', optional, async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const bytes = read(`exif${orientation}`, formats);
    const fast = await decodeJpeg(bytes, maximumPixels);
    const library = await byLibrary(bytes);
    assert.ok(fast !== undefined && library !== undefined);
    assert.deepEqual([fast.width, fast.height], [library.width, library.height]);
    near(fast.data, library.data, `orientation ${orientation}`);
  }
});

test('what is not common is left to the library, and all is where the decoder is absent', async () => {
  assert.equal(await decodeJpeg(read('cmyk', formats), maximumPixels), undefined);
  assert.equal(await decodeJpeg(read('420-48x32-q75'), 1000), undefined, 'too large');
  useTurbo(false);
  assert.equal(await decodeJpeg(read('grey'), maximumPixels), undefined);
  assert.equal((await decode(read('grey'), 'grey')).data.length % 3, 0);
  useTurbo(true);
});

test('a file cut anywhere is never taken for whole', optional, async () => {
  for (const name of ['420-17x9-q30', '422-48x32-q75', 'grey', 'restarts', 'optimised']) {
    const bytes = read(name);
    for (let length = 3; length < bytes.length; length++) {
      assert.equal(await decodeJpeg(bytes.subarray(0, length), maximumPixels), undefined, `${name}: ${length} of ${bytes.length} bytes`);
    }
  }
});

test('damaged files are left to the library, or decoded nearly as it does', optional, async () => {
  const random = new Random(3, 'damage');
  let taken = 0, refused = 0;
  for (const name of ['420-48x32-q75', '444-17x9-q30', 'grey', 'restarts']) {
    for (let i = 0; i < 60; i++) {
      const bytes = Uint8Array.from(read(name));
      for (let k = random.integer(3); k >= 0; k--) bytes[2 + random.integer(bytes.length - 2)] = random.integer(256);
      const fast = await decodeJpeg(bytes, maximumPixels);
      if (fast === undefined) continue;
      taken++;
      const library = await byLibrary(bytes);
      if (library === undefined) refused++;
      else assert.deepEqual([fast.width, fast.height], [library.width, library.height]);
    }
  }
  assert.ok(taken > 50 && refused === 0, `${refused} of ${taken} are refused by the library`);
});

const flowers = new URL('../../../shared/data/flowers/val/', import.meta.url);
test('photos decode as the library decodes them but for rounding', { skip: existsSync(flowers) ? optional.skip : 'needs ../shared/data' }, async () => {
  for (const kind of readdirSync(flowers)) {
    for (const name of readdirSync(new URL(`${kind}/`, flowers)).sort().slice(0, 4)) {
      const bytes = readFileSync(new URL(`${kind}/${name}`, flowers));
      near((await decodeJpeg(bytes, maximumPixels))!.data, (await byLibrary(bytes))!.data, name);
    }
  }
});
