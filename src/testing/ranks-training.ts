import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { encodePng } from '../image/decode.js';
import { blob, temporaryFolder, writeTree } from './image-files.js';

/** A training of a minute at most that several ranks run, and what it left. */

/** Three classes of 8 images to learn from and 2 to select on. */
export async function photos(t: TestContext): Promise<string> {
  const root = await temporaryFolder(t);
  const files: Record<string, Uint8Array> = {};
  for (const [channel, label] of ['red', 'green', 'blue'].entries())
    for (let i = 0; i < 10; i++)
      files[`data/${i < 8 ? 'train' : 'val'}/${label}/${i}.png`] = await encodePng(blob(channel, i, 40));
  await writeTree(root, files);
  return root;
}

/** Where statistics of batches are those of all ranks, or none are taken; with all else that is drawn. */
export const training = (epochs: number, normalization = '--bn frozen'): string[] =>
  [
    `--mode scratch --model resnet8 --epochs ${epochs} --batch-size 12 --lr 0.01 ${normalization} --seed 3`,
    '--cutmix 1 --dropout 0.1 --engine ort --threads 1 --workers 1',
  ].flatMap((words) => words.split(' '));

export interface Line {
  readonly type: string;
  readonly step: number;
  readonly loss: number;
  /** Of an epoch. */
  readonly train?: { readonly loss: number };
}

export const linesOf = (run: string): Line[] =>
  readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

/** Losses of steps and epochs. */
export const lossesOf = (run: string): number[] =>
  linesOf(run).flatMap(({ loss }) => (typeof loss === 'number' ? [loss] : []));

export function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    const difference = Math.abs(value - expected[i]!);
    assert.ok(difference <= tolerance * Math.max(1, Math.abs(expected[i]!)), `${i}: ${value}, not ${expected[i]!}`);
  });
}
