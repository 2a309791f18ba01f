import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after } from 'node:test';
import type { LearnOptions } from '../options/jobs.js';
import { omit } from '../options/option.js';
import { train } from '../runs/train.js';
import { blobs, blobTraining } from './blobs.js';

let trained: Promise<string> | undefined;

/** The run folder of a network that was trained on blobs, once for all tests of a file. */
async function trainOnce(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-backbone-'));
  const { run } = await train(blobs({ train: 40, val: 20 }), { ...blobTraining, epochs: 6, out: join(folder, 'run') });
  return run;
}

after(async () => {
  if (trained) await rm(dirname(await trained), { recursive: true, force: true });
});

/** Puts a network that was trained on blobs into the folder `out`. Returns options to learn other blobs with it. */
export async function blobBackbone(out: string): Promise<LearnOptions> {
  await cp(await (trained ??= trainOnce()), out, { recursive: true });
  return { ...omit(blobTraining, ['mode', 'lr', 'optimizer', 'model']), model: resolve(out), studentEpochs: 1 };
}
