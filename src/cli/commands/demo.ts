import { openDigits } from '../../data/digits.js';
import type { Terminal } from '../terminal.js';
import type { TrainingOptions } from '../training-options.js';
import { runTraining } from './train.js';

/**
 * `pupil demo`: the embedded digits, 10 labels per class and the rest unlabelled, a small network from scratch. What the
 * options do not say is chosen so that it ends within a minute on two cores.
 */
export async function demo(options: TrainingOptions, terminal: Terminal): Promise<void> {
  if (!options.json) {
    terminal.err('Handwritten digits: 100 labelled images to learn from (10 of each), 2,000 to be measured on.\n');
  }
  await runTraining(await openDigits(), {
    mode: 'scratch', model: 'convnet-small', labelsPerClass: 10, flip: false,
    epochs: 30, batchSize: 10, lr: 0.1, labelSmoothing: 0.1,
    ...options,
  }, terminal);
}
