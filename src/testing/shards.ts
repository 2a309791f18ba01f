/** What tests of array jobs share. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { exportModel } from '../artifact/export.js';
import { buildModel } from '../models/index.js';
import { pupil } from './command-line.js';

/** The classes of `teacher`. */
export const classes = ['a', 'b, "c"', 'd'];

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
