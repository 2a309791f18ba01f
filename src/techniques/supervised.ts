import { correctCount } from '../train/losses.js';
import { labelLoss } from '../train/objective.js';
import { labelOptions, mixingOptions } from './parts.js';
import { technique } from './technique.js';

/** Labels alone: loss = mean over the batch of the losses by their weights, CE by default. */
export const supervised = technique({
  name: 'supervised',
  says: 'labels alone',
  source: 'plain supervised learning',
  needs: { labels: true, unlabelled: false, probe: true },
  options: [...labelOptions, ...mixingOptions],
  views: [{ name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true }],
  loss: ({ math: m, forward, targets }, options) => {
    const { labelled } = forward(['labelled']);
    return {
      loss: labelLoss(m, labelled, targets('labelled'), options),
      metrics: { correct: correctCount(m, labelled, targets('labelled')) },
    };
  },
});
