/** What tests of array jobs share. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { encodePng } from '../image/decode.js';
import { buildModel } from '../models/index.js';
import { pupil } from './command-line.js';
import { blob, temporaryFolder, writeTree } from './image-files.js';

/** The classes of `teacher`. */
export const classes = ['a', 'b, "c"', 'd'];

/**
 * Milliseconds after which files that were written tell by their times whether they change: parts from then on have the
 * same bytes again.
 */
export const settled = 2100;

/** Writes an untrained network; other seeds are other networks. */
export function teacher(path: string, seed: number): string {
  writeFileSync(
    path,
    exportModel(buildModel('convnet-small', { labels: classes, seed, inputSize: 24 }), {
      backbone: 'some/backbone',
      licence: 'mit',
    }),
  );
  return path;
}

/** Runs a command that has to succeed; what it printed as JSON. */
export async function run(...words: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await pupil(...words, '--json');
  assert.equal(code, 0, err);
  return JSON.parse(out) as Record<string, unknown>;
}

/** Red and blue blobs in `data`, so many of each, without a val folder: held out in folds. Returns paths beside it. */
export async function redAndBlue(t: TestContext, count: number): Promise<(name: string) => string> {
  const folder = await temporaryFolder(t);
  for (const [channel, tint] of ['red', 'blue'].entries())
    for (let i = 0; i < count; i++)
      await writeTree(folder, { [`data/${tint}/${i}.png`]: await encodePng(blob(2 * channel, 100 * channel + i)) });
  return (name) => join(folder, name);
}
