import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { decode } from './decode.js';

const files = [
  ...['plain.jpg', 'progressive.jpg', 'exif6.jpg', 'plain.png', 'palette.png', 'rgb16.png'],
  ...['plain.webp', 'animated.webp', 'plain.gif', 'animated.gif', 'plain.tiff', 'plain.avif', 'plain.bmp'],
];
const triesOfEach = 40;

/** A few bytes are others, half of the time in the header; some files are cut or have more at their end. */
function mutated(bytes: Buffer, random: Random): Buffer {
  const changed = Buffer.from(bytes);
  const reach = random.chance(0.5) ? Math.min(changed.length, 120) : changed.length;
  for (let k = random.integer(4); k >= 0; k--)
    changed[random.integer(reach)] = random.chance(0.3) ? (random.chance(0.5) ? 0 : 255) : random.integer(256);
  const kind = random.integer(10);
  if (kind === 0) return changed.subarray(0, random.integer(changed.length));
  return kind === 1 ? Buffer.concat([changed, changed.subarray(random.integer(changed.length))]) : changed;
}

test(`${files.length * triesOfEach} images with wrong bytes are decoded or refused in one line`, async (t) => {
  const random = new Random(6, 'images');
  const count = { tries: 0, decoded: 0, refused: 0 };
  for (const file of files) {
    const bytes = readFileSync(new URL(`../../fixtures/image/formats/${file}`, import.meta.url));
    for (let i = 0; i < triesOfEach; i++) {
      count.tries++;
      try {
        const { width, height, data } = await decode(mutated(bytes, random), file);
        assert.equal(data.length, width * height * 3, file);
        count.decoded++;
      } catch (error) {
        assert.ok(error instanceof PupilError && error.code === 'bad-data', `${file}: ${String(error)}`);
        assert.doesNotMatch(error.message, /\n/);
        count.refused++;
      }
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.refused > count.tries / 5 && count.decoded > count.tries / 20, JSON.stringify(count));
});
