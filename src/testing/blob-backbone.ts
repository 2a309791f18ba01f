import type { LearnOptions } from '../options/jobs.js';
import { omit } from '../options/option.js';
import { train } from '../runs/train.js';
import { blobs, blobTraining } from './blobs.js';

/** Trains a network on blobs into the folder `out`. Returns options to learn other blobs with it, in little time. */
export async function blobBackbone(out: string): Promise<LearnOptions> {
  const { run: model } = await train(blobs({ train: 40, val: 20 }), { ...blobTraining, epochs: 6, out });
  return { ...omit(blobTraining, ['mode', 'lr', 'optimizer', 'model']), model, studentEpochs: 1 };
}
