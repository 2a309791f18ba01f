import { openDigits } from '../../data/digits.js';
import type { Terminal } from '../terminal.js';
import type { TrainingOptions } from '../training-options.js';
import { climb } from './learn.js';

/**
 * `pupil demo`: the ladder on the embedded digits, 10 labels per class and the rest without labels,
 * a small network from scratch. What the options do not say is chosen so that it ends in about two
 * minutes on two cores.
 */
export async function demo({ augment: _, ...options }: TrainingOptions, terminal: Terminal): Promise<void> {
  if (!options.json) {
    terminal.err(
      'Handwritten digits: 100 labelled images (10 of each), 7,900 without labels, 2,000 to be measured on.\n',
    );
  }
  await climb(
    await openDigits(),
    {
      mode: 'scratch',
      model: 'convnet-small',
      labelsPerClass: 10,
      flip: false,
      folds: 2,
      rungs: ['supervised', 'augmentation', 'pseudo-labels', 'noisy student'],
      epochs: 80,
      studentEpochs: 1,
      unlabelledRatio: 2,
      batchSize: 10,
      lr: 0.3,
      ema: 0.99,
      labelSmoothing: 0.1,
      dropout: 0.1,
      stochasticDepth: 0,
      ...options,
    },
    terminal,
    'demo',
  );
}
