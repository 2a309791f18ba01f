import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Random } from '../random.js';
import { decode, maximumPixels } from './decode.js';
import type { Image } from './image.js';
import { decodeJpeg } from './jpeg.js';
import { useCompiledKernels } from './compiled.js';

const folder = new URL('../../tests/fixtures/jpeg/', import.meta.url);
const formats = new URL('../../tests/fixtures/image/formats/', import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as { cases: { name: string; width: number; height: number }[] };
const expected = gunzipSync(readFileSync(new URL('pixels.bin.gz', folder)));
const read = (name: string, from = folder): Uint8Array => readFileSync(new URL(`${name}.jpg`, from));

/** The image by the codec library alone; undefined where it refuses. */
async function byLibrary(bytes: Uint8Array): Promise<Image | undefined> {
  useCompiledKernels(false);
  try {
    return await decode(bytes, 'file');
  } catch {
    return undefined;
  } finally {
    useCompiledKernels(true);
  }
}

test('common JPEGs give the pixels of libjpeg-turbo', async (t) => {
  let position = 0;
  for (const { name, width, height } of cases) {
    const start = position;
    position += width * height * 3;
    await t.test(name, () => {
      const image = decodeJpeg(read(name), maximumPixels);
      assert.ok(image !== undefined, 'left to the library');
      assert.deepEqual([image.width, image.height], [width, height]);
      assert.ok(Buffer.from(image.data).equals(expected.subarray(start, start + image.data.length)), 'other pixels');
    });
  }
});

test('the library decodes to the same pixels where there are no compiled kernels', async () => {
  for (const { name } of cases.filter(({ name: file }) => !['srgb-profile'].includes(file))) {
    const library = await byLibrary(read(name));
    assert.deepEqual(library?.data.length, decodeJpeg(read(name), maximumPixels)!.data.length, name);
    assert.ok(Buffer.from(library.data).equals(decodeJpeg(read(name), maximumPixels)!.data), name);
  }
});

test('EXIF orientations turn the image as the library does', async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const bytes = read(`exif${orientation}`, formats);
    const fast = decodeJpeg(bytes, maximumPixels);
    const library = await byLibrary(bytes);
    assert.ok(fast !== undefined && library !== undefined);
    assert.deepEqual([fast.width, fast.height], [library.width, library.height]);
    assert.ok(Buffer.from(fast.data).equals(library.data), `orientation ${orientation}`);
  }
});

test('what is not common is left to the library', () => {
  for (const name of ['progressive', 'cmyk']) assert.equal(decodeJpeg(read(name, formats), maximumPixels), undefined, name);
  assert.equal(decodeJpeg(read('420-48x32-q75'), 1000), undefined, 'too large');
  useCompiledKernels(false);
  assert.equal(decodeJpeg(read('grey'), maximumPixels), undefined, 'no kernels');
  useCompiledKernels(true);
  assert.ok(decodeJpeg(read('grey'), maximumPixels) !== undefined);
});

test('a file cut anywhere is never taken for whole', () => {
  for (const name of ['420-17x9-q30', '422-48x32-q75', 'grey', 'restarts', 'optimised']) {
    const bytes = read(name);
    for (let length = 3; length < bytes.length; length++) {
      assert.equal(decodeJpeg(bytes.subarray(0, length), maximumPixels), undefined, `${name}: ${length} of ${bytes.length} bytes`);
    }
  }
});

test('damaged files are left to the library, or decoded as it does', async () => {
  const random = new Random(3, 'damage');
  let taken = 0, different = 0;
  for (const name of ['420-48x32-q75', '444-17x9-q30', 'grey', 'restarts']) {
    for (let i = 0; i < 60; i++) {
      const bytes = Uint8Array.from(read(name));
      for (let k = random.integer(3); k >= 0; k--) bytes[2 + random.integer(bytes.length - 2)] = random.integer(256);
      const fast = decodeJpeg(bytes, maximumPixels);
      if (fast === undefined) continue;
      taken++;
      const library = await byLibrary(bytes);
      assert.ok(library !== undefined, `${name}, ${i}: refused by the library`);
      assert.deepEqual([fast.width, fast.height], [library.width, library.height]);
      if (!Buffer.from(fast.data).equals(library.data)) different++;
    }
  }
  // Damage that leaves a valid file with impossible coefficients overflows in ways that nothing defines.
  assert.ok(taken > 50 && different <= 0.02 * taken, `${different} of ${taken} differ`);
});

const flowers = new URL('../../../shared/data/flowers/val/', import.meta.url);
test('photos decode as the library decodes them', { skip: existsSync(flowers) ? false : 'needs ../shared/data' }, async () => {
  for (const kind of readdirSync(flowers)) {
    for (const name of readdirSync(new URL(`${kind}/`, flowers)).sort().slice(0, 4)) {
      const bytes = readFileSync(new URL(`${kind}/${name}`, flowers));
      assert.ok(Buffer.from(decodeJpeg(bytes, maximumPixels)!.data).equals((await byLibrary(bytes))!.data), name);
    }
  }
});
