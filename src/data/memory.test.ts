import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { temporaryFolder } from '../testing/image-files.js';

/** Decodes every picture of a folder for evaluation by four workers; prints the process's peak of memory in MB. */
const script = `
  const [folder, of] = process.argv.slice(1);
  const { createPool } = await import(new URL('pool.js', of));
  const { openImages } = await import(new URL('dataset.js', of));
  const { readFileSync } = await import('node:fs');
  const { samples } = await openImages([folder]);
  const pool = createPool({ workers: 4, cacheFolder: folder + '/cache' });
  const input = { size: [224, 224], resizeShort: 256, interpolation: 'bilinear' };
  const outputs = [{ target: { kind: 'evaluation', input } }];
  const results = await Promise.all(
    samples.map(({ path, source }) => pool.run({ kind: 'decode', items: [{ path, source, outputs }] })),
  );
  await pool.close();
  const failed = results.flat().find(({ error }) => error !== undefined);
  if (failed) throw new Error(failed.error);
  console.log(Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024);`;

const formats: Readonly<Record<string, (picture: Sharp) => Sharp>> = {
  'PNG': (picture) => picture.png({ compressionLevel: 1 }),
  'WebP': (picture) => picture.webp({ effort: 0 }),
  'progressive JPEG': (picture) => picture.jpeg({ progressive: true }),
  'turned JPEG': (picture) => picture.withMetadata({ orientation: 6 }).jpeg(),
};

const skip = process.platform !== 'linux' && 'hardware: peaks of memory are read as on Linux';
for (const [name, save] of Object.entries(formats))
  test(`photos of 24 megapixels take less than 500 MB with four workers: ${name}`, { skip }, async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(folder, { recursive: true });
    for (let i = 0; i < 5; i++) {
      const background = { r: 40 * i, g: 200 - 30 * i, b: 90 };
      const picture = sharp({ create: { width: 6000, height: 4000, channels: 3, background } });
      await save(picture).toFile(join(folder, `${i}.x`));
    }
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', script, folder, import.meta.url],
      { encoding: 'utf8' },
    );
    assert.ok(Number(stdout) > 100, stderr);
    assert.ok(Number(stdout) < 500, `${Math.round(Number(stdout))} MB`);
  });
