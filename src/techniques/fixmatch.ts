import type { Batch } from '../data/loader.js';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/graph.js';
import { float32 } from '../tensor.js';
import { batchMean, correctCount, mixedLoss, smoothTargets } from '../train/losses.js';
import type { Objective, ObjectiveContext } from '../train/step.js';
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
  fixmatch: ({ builder }, confidence, _label, { threshold }) =>
    atLeast(builder, confidence, builder.scalar(threshold!)),

  /**
   * FlexMatch (Zhang et al. 2021): the threshold of class c is threshold * M(beta_c), where beta_c
   * is how much of the unlabelled set is confidently predicted as c, by the class that has most
   * (and while few images have been learned, by those not yet learned); M(x) = x / (2 - x). Counted
   * by the observer from the last prediction on each image.
   */
  flexmatch: (context, confidence, label) => {
    const { builder, classes } = context;
    const thresholds = context.input('thresholds', 'float32', [classes]);
    return atLeast(builder, confidence, sumClasses(builder, builder.op('Mul', [label, thresholds])));
  },

  /**
   * SoftMatch (Chen et al. 2023): w = exp(-n^2 (mu - max p)^2 / 2 sigma^2) below mu, 1 above it, mu
   * and sigma^2 running averages of the confidence (decay 0.999, n = 2), of predictions that
   * uniform alignment has divided by their running mean.
   */
  softmatch: (context, confidence) => {
    const { builder, classes } = context;
    const memory = (name: string, initial: number): Value =>
      context.memory(`softmatch:${name}`, float32([], [initial]));
    // Bessel's correction as in the authors' code; a batch of one has none.
    const count = confidence.shape[0] as number;
    const batchMeanOf = batchMean(builder, confidence);
    const difference = builder.op('Sub', [confidence, batchMeanOf]);
    const batchVariance = builder.op('Mul', [
      batchMean(builder, builder.op('Mul', [difference, difference])),
      count / Math.max(count - 1, 1),
    ]);
    const mean = averaged(context, 'softmatch:mean', memory('mean', 1 / classes), batchMeanOf);
    const variance = averaged(context, 'softmatch:variance', memory('variance', 1), batchVariance);
    const below = builder.op('Min', [builder.op('Sub', [confidence, mean]), builder.scalar(0)]);
    const spread = builder.op('Add', [builder.op('Mul', [variance, 2 / 2 ** 2]), 1e-8]);
    return builder.op('Exp', [builder.op('Neg', [builder.op('Div', [builder.op('Mul', [below, below]), spread])])]);
  },
} satisfies Record<string, Weighing>;

export type ConsistencyName = keyof typeof weighings;

/** Momentum of SoftMatch's running averages. */
const decay = 0.999;

/** d old + (1 - d) new, remembered for the next step; this step uses it too. */
function averaged({ builder, remember }: ObjectiveContext, name: string, old: Value, value: Value): Value {
  const next = builder.op('Add', [builder.op('Mul', [old, decay]), builder.op('Mul', [value, 1 - decay])]);
  remember(name, next);
  return next;
}

/**
 * Uniform alignment: p / (its running mean over the batches + 1e-6), made to sum to 1 again. The
 * mean begins at uniform.
 */
function alignedToUniform(context: ObjectiveContext, p: Value): Value {
  const { builder, classes } = context;
  const initial = float32([classes], new Float32Array(classes).fill(1 / classes));
  const mean = averaged(
    context,
    'softmatch:predictions',
    context.memory('softmatch:predictions', initial),
    builder.op('ReduceMean', [p], { axes: [0], keepdims: 0 }),
  );
  // A class that is never predicted has a mean that vanishes: the authors' 1e-6 keeps the ratio
  // finite.
  const ratio = builder.op('Div', [p, builder.op('Add', [mean, 1e-6])]);
  return builder.op('Div', [ratio, builder.op('ReduceSum', [ratio, builder.ints([1])], { keepdims: 1 })]);
}

const sumClasses = (builder: GraphBuilder, x: Value): Value =>
  builder.op('ReduceSum', [x, builder.ints([1])], { keepdims: 0 });

/** 1 where a >= b, else 0. */
const atLeast = (builder: GraphBuilder, a: Value, b: Value): Value =>
  builder.op('Cast', [builder.op('GreaterOrEqual', [a, b])], { to: 1 });

/**
 * The loss. Inputs: `pixels` uint8 [B + 2 mu B, H, W, 3] (labelled, weak, strong), `targets`
 * float32 [B, classes]. Metric `correct` counts on labelled images; observed: `confidence`,
 * `predicted` and `weight`, each [mu B].
 */
export const consistencyObjective =
  (name: ConsistencyName, settings: Settings): Objective =>
  (context) => {
    const { builder, batchSize, classes, size } = context;
    const unlabelled = batchSize * settings.unlabelledRatio!;
    const pixels = context.input('pixels', 'uint8', [batchSize + 2 * unlabelled, ...size, 3]);
    const targets = context.input('targets', 'float32', [batchSize, classes]);
    const all = context.forward(pixels);
    const rows = (from: number, count: number): Value =>
      builder.op('Slice', [all, builder.ints([from]), builder.ints([from + count]), builder.ints([0])]);
    const labelled = rows(0, batchSize),
      weak = rows(batchSize, unlabelled),
      strong = rows(batchSize + unlabelled, unlabelled);

    return builder.scope(name, () => {
      const own = batchMean(
        builder,
        mixedLoss(
          builder,
          labelled,
          smoothTargets(builder, targets, settings.labelSmoothing),
          settings.losses ?? { 'cross-entropy': 1 },
        ),
      );
      // What the network says of the weak view is a target: no gradient goes through it.
      const p = context.detach(builder.op('Softmax', [weak], { axis: 1 }));
      const predicted = builder.op('ArgMax', [p], { axis: 1, keepdims: 0 });
      const classNumbers = builder.constant({
        dtype: 'int64',
        dims: [1, classes],
        data: BigInt64Array.from({ length: classes }, (_, i) => BigInt(i)),
      });
      const label = builder.op(
        'Cast',
        [builder.op('Equal', [builder.op('Unsqueeze', [predicted, builder.ints([1])]), classNumbers])],
        { to: 1 },
      );
      const believed = name === 'softmatch' ? alignedToUniform(context, p) : p;
      const confidence = builder.op('ReduceMax', [believed], { axes: [1], keepdims: 0 });
      const weight = weighings[name](context, confidence, label, settings);
      const consistent = mixedLoss(builder, strong, label, { 'cross-entropy': 1 });
      const unsupervised = batchMean(builder, builder.op('Mul', [weight, consistent]));
      return {
        loss: builder.op('Add', [own, builder.op('Mul', [unsupervised, settings.unlabelledWeight!])]),
        metrics: { correct: correctCount(builder, labelled, targets), unsupervised },
        observed: { confidence, predicted: builder.op('Cast', [predicted], { to: 1 }), weight },
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
