import type { Value } from '../graph/graph.js';
import { float32 } from '../tensor.js';
import { correctCount } from '../train/losses.js';
import { labelLoss, type Objective } from '../train/objective.js';
import type { Settings } from '../runs/settings.js';
import { joinedBatches, loaderOf } from './views.js';
import type { Technique } from './technique.js';

/**
 * Joint training on labels and pseudo-labels (Lee 2013; Xie et al. 2020, algorithm 1): both kinds
 * side by side in every batch, `unlabelledRatio` times as many of the second,
 *
 *   loss = mean CE(label, x) + lambda * mean CE(pseudo-label, u)
 *
 * pseudo-labels hard or soft as the file has them.
 */
export const pseudoLabelledObjective =
  (settings: Settings): Objective =>
  (context) => {
    const { math: m, batchSize, classes, size } = context;
    const pseudo = batchSize * settings.unlabelledRatio!;
    const pixels = context.input('pixels', 'uint8', [batchSize + pseudo, ...size, 3]);
    const targets = context.input('targets', 'float32', [batchSize + pseudo, classes]);
    const logits = context.forward(pixels);
    return m.scope('loss', () => {
      const meanOf = (from: number, count: number, labelSmoothing: number): Value =>
        labelLoss(m, m.rows(logits, from, count), m.rows(targets, from, count), {
          labelSmoothing,
          losses: settings.losses,
        });
      const own = meanOf(0, batchSize, settings.labelSmoothing),
        others = meanOf(batchSize, pseudo, 0);
      return {
        loss: m.add(own, m.mul(others, settings.unlabelledWeight!)),
        metrics: {
          correct: correctCount(m, m.rows(logits, 0, batchSize), m.rows(targets, 0, batchSize)),
          unsupervised: others,
        },
      };
    });
  };

export const pseudoLabelled: Technique = {
  unlabelled: true,
  objective: pseudoLabelledObjective,
  batches: (context) => {
    const { images, settings, batchSize } = context;
    const { indexes, targets } = images.pseudo!;
    const loaders = [
      loaderOf(context, { epochs: Infinity }),
      loaderOf(context, {
        subset: indexes,
        batchSize: batchSize * settings.unlabelledRatio!,
        targetsOf: (index) => targets.get(index),
        view: 'pseudo-labelled',
        epochs: Infinity,
        balance: false,
      }),
    ];
    return joinedBatches(context, loaders, (batches) => {
      const all = Float32Array.from(batches.flatMap((batch) => [...batch.targets]));
      return { targets: float32([all.length / images.dataset.classes.length, images.dataset.classes.length], all) };
    });
  },
  defaults: {
    all: { unlabelledRatio: 1, unlabelledWeight: 1, ema: 0.999 },
    // Few labels would be repeated over and over beside as many others; a pretrained network's
    // images are large.
    finetune: { batchSize: 8, unlabelledRatio: 4 },
  },
};
