import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Random } from '../random.js';
import { decode, maximumPixels } from './decode.js';
import type { Image } from './image.js';
import { decodeJpeg, useTurbo } from './jpeg.js';

const folder = new URL('../../fixtures/jpeg/', import.meta.url);
const formats = new URL('../../fixtures/image/formats/', import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as {
  cases: { name: string; width: number; height: number }[];
};
const expected = gunzipSync(readFileSync(new URL('pixels.bin.gz', folder)));
const read = (name: string, from = folder): Uint8Array => readFileSync(new URL(`${name}.jpg`, from));

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

test('common JPEGs give the pixels of Pillow', async (t) => {
  let position = 0;
  for (const { name, width, height } of cases) {
    const start = position;
    position += width * height * 3;
    await t.test(name, async () => {
      const image = decodeJpeg(read(name), maximumPixels);
      assert.ok(image !== undefined, 'left to the library');
      assert.deepEqual([image.width, image.height], [width, height]);
      assert.ok(Buffer.from(image.data).equals(expected.subarray(start, start + image.data.length)), 'other pixels');
    });
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

test('what is not common is left to the library, and all is where the decoder is turned off', async () => {
  assert.equal(decodeJpeg(read('cmyk', formats), maximumPixels), undefined);
  assert.equal(decodeJpeg(read('420-48x32-q75'), 1000), undefined, 'too large');
  useTurbo(false);
  assert.equal(decodeJpeg(read('grey'), maximumPixels), undefined);
  assert.equal((await decode(read('grey'), 'grey')).data.length % 3, 0);
  useTurbo(true);
});

test('a file cut anywhere is never taken for whole', async () => {
  for (const name of ['420-17x9-q30', '422-48x32-q75', 'grey', 'restarts', 'optimised']) {
    const bytes = read(name);
    for (let length = 3; length < bytes.length; length++) {
      assert.equal(
        decodeJpeg(bytes.subarray(0, length), maximumPixels),
        undefined,
        `${name}: ${length} of ${bytes.length} bytes`,
      );
    }
  }
});

test('damaged files are left to the library, or decoded as it does', async () => {
  const random = new Random(3, 'damage');
  let taken = 0,
    refused = 0;
  for (const name of ['420-48x32-q75', '444-17x9-q30', 'grey', 'restarts']) {
    for (let i = 0; i < 60; i++) {
      const bytes = Uint8Array.from(read(name));
      for (let k = random.integer(3); k >= 0; k--) bytes[2 + random.integer(bytes.length - 2)] = random.integer(256);
      const fast = decodeJpeg(bytes, maximumPixels);
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
test(
  'photos decode as the library decodes them',
  { skip: existsSync(flowers) ? false : 'needs ../shared/data' },
  async () => {
    for (const kind of readdirSync(flowers)) {
      for (const name of readdirSync(new URL(`${kind}/`, flowers))
        .sort()
        .slice(0, 4)) {
        const bytes = readFileSync(new URL(`${kind}/${name}`, flowers));
        assert.ok(Buffer.from(decodeJpeg(bytes, maximumPixels)!.data).equals((await byLibrary(bytes))!.data), name);
      }
    }
  },
);
