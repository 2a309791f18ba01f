import type { Batch } from '../data/loader.js';
import type { Value } from '../graph/graph.js';
import { float32 } from '../tensor.js';
import { correctCount, crossEntropy } from '../train/losses.js';
import { labelLoss, type Objective, type ObjectiveContext } from '../train/objective.js';
import { parseAugment, type AugmentPolicy } from '../augment/policy.js';
import { createMaskObserver } from './mask-observer.js';
import { joinedBatches, loaderOf } from './views.js';
import type { Settings } from '../runs/settings.js';
import type { Technique } from './technique.js';

/**
 * FixMatch (Sohn et al. 2020, "FixMatch: Simplifying semi-supervised learning with consistency and
 * confidence") and two of its family: the network's own confident prediction on a weakly augmented
 * image is the label of the same image strongly augmented.
 *
 *   loss = mean CE(label, x) + lambda * mean over the whole unlabelled batch of w(weak) CE(argmax
 *     weak, strong)
 *
 * Labelled, weak and strong images go through the network in one forward pass, so that batch
 * normalisation sees them together. The members differ in the weight w of a prediction p =
 * softmax(weak) alone:
 */
type Weighing = (context: ObjectiveContext, confidence: Value, label: Value, settings: Settings) => Value;

const weighings = {
  /** w = 1 where max p >= threshold (0.95). */
  fixmatch: ({ math: m }, confidence, _label, { threshold }) => m.mask('GreaterOrEqual', confidence, threshold!),

  /**
   * FlexMatch (Zhang et al. 2021): the threshold of class c is threshold * M(beta_c), where beta_c
   * is how much of the unlabelled set is confidently predicted as c, by the class that has most
   * (and while few images have been learned, by those not yet learned); M(x) = x / (2 - x). Counted
   * by the observer from the last prediction on each image.
   */
  flexmatch: (context, confidence, label) => {
    const { math: m, classes } = context;
    const thresholds = context.input('thresholds', 'float32', [classes]);
    return m.mask('GreaterOrEqual', confidence, m.sumClasses(m.mul(label, thresholds)));
  },

  /**
   * SoftMatch (Chen et al. 2023): w = exp(-n^2 (mu - max p)^2 / 2 sigma^2) below mu, 1 above it, mu
   * and sigma^2 running averages of the confidence (decay 0.999, n = 2), of predictions that
   * uniform alignment has divided by their running mean.
   */
  softmatch: (context, confidence) => {
    const { math: m, classes } = context;
    const memory = (name: string, initial: number): Value =>
      context.memory(`softmatch:${name}`, float32([], [initial]));
    // Bessel's correction as in the authors' code; a batch of one has none.
    const count = confidence.shape[0] as number;
    const batchMean = m.meanBatch(confidence);
    const batchVariance = m.mul(m.meanBatch(m.square(m.sub(confidence, batchMean))), count / Math.max(count - 1, 1));
    const mean = averaged(context, 'softmatch:mean', memory('mean', 1 / classes), batchMean);
    const variance = averaged(context, 'softmatch:variance', memory('variance', 1), batchVariance);
    const below = m.min(m.sub(confidence, mean), 0);
    const spread = m.add(m.mul(variance, 2 / 2 ** 2), 1e-8);
    return m.exp(m.neg(m.div(m.square(below), spread)));
  },
} satisfies Record<string, Weighing>;

export type ConsistencyName = keyof typeof weighings;

/** Momentum of SoftMatch's running averages. */
const decay = 0.999;

/** d old + (1 - d) new, remembered for the next step; this step uses it too. */
function averaged({ math: m, remember }: ObjectiveContext, name: string, old: Value, value: Value): Value {
  const next = m.add(m.mul(old, decay), m.mul(value, 1 - decay));
  remember(name, next);
  return next;
}

/**
 * Uniform alignment: p / (its running mean over the batches + 1e-6), made to sum to 1 again. The
 * mean begins at uniform.
 */
function alignedToUniform(context: ObjectiveContext, p: Value): Value {
  const { math: m, classes } = context;
  const initial = float32([classes], new Float32Array(classes).fill(1 / classes));
  const memory = context.memory('softmatch:predictions', initial);
  const mean = averaged(context, 'softmatch:predictions', memory, m.meanBatch(p));
  // A class that is never predicted has a mean that vanishes: the authors' 1e-6 keeps the ratio
  // finite.
  const ratio = m.div(p, m.add(mean, 1e-6));
  return m.div(ratio, m.sum(ratio, [1]));
}

/**
 * The loss. Inputs: `pixels` uint8 [B + 2 mu B, H, W, 3] (labelled, weak, strong), `targets`
 * float32 [B, classes]. Metric `correct` counts on labelled images; observed: `confidence`,
 * `predicted` and `weight`, each [mu B].
 */
export const consistencyObjective =
  (name: ConsistencyName, settings: Settings): Objective =>
  (context) => {
    const { math: m, batchSize, classes, size } = context;
    const unlabelled = batchSize * settings.unlabelledRatio!;
    const pixels = context.input('pixels', 'uint8', [batchSize + 2 * unlabelled, ...size, 3]);
    const targets = context.input('targets', 'float32', [batchSize, classes]);
    const all = context.forward(pixels);
    const labelled = m.rows(all, 0, batchSize),
      weak = m.rows(all, batchSize, unlabelled),
      strong = m.rows(all, batchSize + unlabelled, unlabelled);

    return m.scope(name, () => {
      const own = labelLoss(m, labelled, targets, settings);
      // What the network says of the weak view is a target: no gradient goes through it.
      const p = context.detach(m.softmax(weak));
      const predicted = m.argmax(p);
      const label = m.oneHot(predicted, classes);
      const believed = name === 'softmatch' ? alignedToUniform(context, p) : p;
      const confidence = m.maxClasses(believed);
      const weight = weighings[name](context, confidence, label, settings);
      const unsupervised = m.meanBatch(
        m.mul(
          weight,
          m.scope('cross-entropy', () => crossEntropy(m, strong, label)),
        ),
      );
      return {
        loss: m.add(own, m.mul(unsupervised, settings.unlabelledWeight!)),
        metrics: { correct: correctCount(m, labelled, targets), unsupervised },
        observed: { confidence, predicted: m.toFloat(predicted), weight },
      };
    });
  };

/**
 * A member of the family: labelled images beside the weak and the strong view of `unlabelledRatio`
 * times as many others.
 */
export const consistency = (name: ConsistencyName): Technique => ({
  unlabelled: true,
  strong: true,
  defaults: {
    all: { threshold: 0.95, unlabelledWeight: 1, ema: 0.999, labelSmoothing: 0, augment: 'weak', strong: 'strong' },
    scratch: {
      batchSize: 64,
      unlabelledRatio: 7,
      lr: 0.03,
      weightDecay: 5e-4,
      optimizer: 'sgd',
      schedule: 'fixmatch',
      warmup: 0,
    },
    // A pretrained network sees large images and needs fewer: a step as dear as an ordinary one of
    // 72.
    finetune: { batchSize: 8, unlabelledRatio: 4 },
  },
  objective: (settings) => consistencyObjective(name, settings),
  batches: (context) => {
    const { images, settings, learnFrom, batchSize } = context;
    const { classes } = images.dataset;
    // Labelled images are among those without labels, too.
    const subset = [...images.unlabelled, ...learnFrom];
    const views = (view: string, augment: AugmentPolicy) =>
      loaderOf(context, {
        subset,
        batchSize: batchSize * settings.unlabelledRatio!,
        augmentation: { augment, flip: settings.flip },
        view,
        epochs: Infinity,
        balance: false,
      });
    const loaders = [
      loaderOf(context, { epochs: Infinity }),
      views('weak', parseAugment('weak')),
      views('strong', settings.strong!),
    ];
    const observer = createMaskObserver({
      classes,
      samples: (images.training ?? images.evaluation).samples,
      subset,
      ...(name === 'flexmatch' && { flexible: settings.threshold! }),
    });
    return joinedBatches(context, loaders, ([labelled]) => ({ targets: targetsOf(labelled!) }), observer);
  },
});

/** float32 [count, classes]. */
export const targetsOf = ({ targets, count }: Batch) => float32([count, targets.length / count], targets);
