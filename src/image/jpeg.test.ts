import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { decode } from './decode.js';
import type { Image } from './image.js';
import { decodeJpeg, useTurbo } from './jpeg.js';
import { readJpeg } from './jpeg-file.js';

const folder = new URL('../../fixtures/jpeg/', import.meta.url);
const formats = new URL('../../fixtures/image/formats/', import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as {
  cases: { name: string; width: number; height: number }[];
};
const expected = gunzipSync(readFileSync(new URL('pixels.bin.gz', folder)));
const read = (name: string, from = folder): Uint8Array => readFileSync(new URL(`${name}.jpg`, from));

/** The image by libjpeg-turbo; undefined where it is refused, or is left to the library. */
function byTurbo(bytes: Uint8Array, divisor: 1 | 2 | 4 | 8 = 1): Image | undefined {
  const structure = readJpeg(bytes);
  const outcome = structure.kind === 'common' ? decodeJpeg(bytes, structure.file, divisor) : undefined;
  return outcome !== undefined && 'image' in outcome ? outcome.image : undefined;
}

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
      const image = byTurbo(read(name));
      assert.ok(image !== undefined, 'left to the library');
      assert.deepEqual([image.width, image.height], [width, height]);
      assert.ok(Buffer.from(image.data).equals(expected.subarray(start, start + image.data.length)), 'other pixels');
    });
  }
});

test('EXIF orientations turn the image as the library does', async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const bytes = read(`exif${orientation}`, formats);
    const fast = byTurbo(bytes);
    const library = await byLibrary(bytes);
    assert.ok(fast !== undefined && library !== undefined);
    assert.deepEqual([fast.width, fast.height], [library.width, library.height]);
    assert.ok(Buffer.from(fast.data).equals(library.data), `orientation ${orientation}`);
  }
});

test('all is left to the library where the decoder is turned off', async () => {
  useTurbo(false);
  assert.equal(byTurbo(read('grey')), undefined);
  assert.equal((await decode(read('grey'), 'grey')).data.length % 3, 0);
  useTurbo(true);
});

test('a file cut anywhere is never taken for whole', async () => {
  for (const name of ['420-17x9-q30', '422-48x32-q75', 'grey', 'restarts', 'optimised']) {
    const bytes = read(name);
    for (let length = 3; length < bytes.length; length++) {
      assert.equal(byTurbo(bytes.subarray(0, length)), undefined, `${name}: ${length} of ${bytes.length} bytes`);
    }
  }
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
        assert.ok(Buffer.from(byTurbo(bytes)!.data).equals((await byLibrary(bytes))!.data), name);
      }
    }
  },
);
