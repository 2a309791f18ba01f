import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, loadCodec } from '../image/decode.js';
import { temporaryFolder } from '../testing/image-files.js';
import { openImages } from './dataset.js';
import { createPool } from './pool.js';
import { prepareTogether } from './prepare.js';
import { toTarget, type Target } from './target.js';

test('images to train on are decoded at reduced scale from four times their size on', async (t) => {
  const root = await temporaryFolder(t);
  const [width, height] = [1600, 1200];
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = 28 + ((i >> 6) % 200);
  const path = join(root, 'photo.jpg');
  const sharp = await loadCodec();
  await writeFile(
    path,
    await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg()
      .toBuffer(),
  );
  const whole = await decode(await readFile(path), path);
  const pool = createPool({ workers: 0, disk: 0 });
  const { samples } = await openImages([path]);
  const targets: Target[] = [
    ...[60, 75, 120, 151, 300, 301].map((short): Target => ({ kind: 'working', short, interpolation: 'bilinear' })),
    { kind: 'evaluation', input: { size: [64, 64], resizeShort: 72, interpolation: 'bilinear' } },
  ];
  const prepared = await prepareTogether(
    targets.map((target) => ({ samples, target })),
    { pool },
  );
  for (const [i, target] of targets.entries()) {
    const [location] = prepared[i]!.locations;
    assert.ok(location?.kind === 'memory');
    const expected = toTarget(whole, target);
    const pixels = new Uint8Array(location.pixels, location.offset, location.width * location.height * 3);
    assert.deepEqual([location.width, location.height], [expected.width, expected.height]);
    const isReduced = target.kind === 'working' && target.short < 301;
    const difference = expected.data.reduce((sum, value, k) => sum + Math.abs(value - pixels[k]!), 0) / pixels.length;
    assert.ok(
      isReduced ? difference > 0 && difference < 12 : difference === 0,
      `${JSON.stringify(target)}: ${difference}`,
    );
  }
});
