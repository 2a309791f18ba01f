/** What rows of the table share. */
import type { Shape, Value } from '../graph/graph.js';
import { float32, sizeOf, type Tensor } from '../tensor.js';
import { correctCount, crossEntropy } from '../train/losses.js';
import { labelLoss, type LabelOptions, type ObjectiveResult } from '../train/objective.js';
import type { LossContext, OptionName, RunningDecay, TechniqueOptions, View } from './technique.js';

/** How labels are learned. */
export const labelOptions = ['losses', 'labelSmoothing'] as const satisfies readonly OptionName[];

/** For views that are mixed with one another. */
export const mixingOptions = ['cutmix', 'mixup', 'mixProbability'] as const satisfies readonly OptionName[];

/** Options of all of FixMatch's family. */
export const familyOptions = [
  'strong',
  'unlabelledRatio',
  'unlabelledWeight',
  'rampUp',
  'runningDecay',
  'weakPass',
  ...labelOptions,
] as const satisfies readonly OptionName[];

/** Those of its members that have one view of labelled images: these alone are mixed. */
export const matchingOptions = [...familyOptions, ...mixingOptions] as const satisfies readonly OptionName[];

/** Labelled images beside two views of others, one weakly and one strongly augmented. */
export const weakAndStrong = [
  { name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true },
  {
    name: 'weak',
    images: 'unlabelled',
    augment: 'weak',
    perLabelled: 'unlabelledRatio',
    cost: ({ weakPass = 'joint' }) => (weakPass === 'joint' ? 1 : 1 / 3),
  },
  { name: 'strong', images: 'unlabelled', augment: 'strong', perLabelled: 'unlabelledRatio' },
] as const satisfies readonly View[];

/**
 * The logits of all views. The paper has them in one pass, so that batch normalisation sees them
 * together. On its own the weak view costs a third, as no gradient goes through it: where no
 * BatchNormalization is trained the result is the same. `averaged`: the running average of the
 * weights is what labels.
 */
export function passes<Name extends string>(
  { forward }: LossContext<Name | 'weak' | 'strong'>,
  labelled: readonly Name[],
  weakPass: TechniqueOptions['weakPass'],
): Readonly<Record<Name | 'weak' | 'strong', Value>> {
  if (weakPass === 'joint') return forward([...labelled, 'weak', 'strong']);
  const others = forward<Name | 'strong'>([...labelled, 'strong']);
  return {
    ...others,
    ...forward(['weak'], weakPass === 'averaged' ? { weights: 'averaged' } : { updateStatistics: false }),
  };
}

/** What the network says of the weak view, as the strong view is to learn it. */
export interface PseudoLabels {
  /** The class, int64 [count], and how sure of it the network is, [count]. */
  readonly label: Value;
  readonly confidence: Value;
  /** What each counts, [count]. */
  readonly weight: Value;
}

/** Logits that the loss of FixMatch's family is made of. */
export interface MatchedLogits {
  readonly labelled: Value;
  readonly strong: Value;
  /** The loss on labels, where it is not that of `labelled` alone. */
  readonly supervised?: Value;
}

type MatchingOptions = LabelOptions & Pick<TechniqueOptions, 'unlabelledWeight' | 'rampUp'>;

/**
 * The loss of FixMatch and its family (Sohn et al. 2020, equations 3 to 5):
 *
 *   mean CE(label, x) + lambda(t) * mean over the whole unlabelled batch of weight CE(pseudo-label,
 *   strong)
 *
 * lambda(t) rises as in AdaMatch: lambda (1/2 - cos(pi min(1, t / T)) / 2), T = ramp-up * all steps.
 */
export function matchingLoss(
  context: LossContext<'labelled'>,
  { labelled, strong, supervised }: MatchedLogits,
  { label, confidence, weight }: PseudoLabels,
  { unlabelledWeight, rampUp, ...labels }: MatchingOptions,
): ObjectiveResult {
  const { math: m, classes, targets } = context;
  const own = supervised ?? labelLoss(m, labelled, targets('labelled'), labels);
  const unsupervised = m.meanBatch(m.mul(weight, crossEntropy(m, strong, m.oneHot(label, classes))));
  const lambda = rampUpTo(context, unlabelledWeight, rampUp, (share) => (1 - Math.cos(Math.PI * share)) / 2);
  return {
    loss: m.add(own, m.mul(unsupervised, lambda)),
    metrics: { correct: correctCount(m, labelled, targets('labelled')), unsupervised },
    observed: { confidence, predicted: m.toFloat(label), weight },
  };
}

/** The mean over the whole batch, of which each of several ranks has a part. */
export const meanOfAll = ({ math: m, meanOverRanks }: LossContext, rows: Value): Value =>
  meanOverRanks(m.meanBatch(rows));

/** The sum over the whole batch. */
export const sumOfAll = ({ math: m, meanOverRanks, ranks }: LossContext, rows: Value): Value => {
  const sum = m.sumBatch(rows);
  return ranks === 1 ? sum : m.mul(meanOverRanks(sum), ranks);
};

/** A tensor of one number. */
export const filled = (shape: Shape, value: number): Tensor => {
  const dims = shape.map(Number);
  return float32(dims, new Float32Array(sizeOf(dims)).fill(value));
};

/**
 * Decay of a running average at a step, counted from 0, of a training of `total` steps: 0.999 as in
 * the papers, whose trainings have 100,000; less where that would be longer than the training, and
 * in the first steps, so that what the average began with is forgotten at once ((1 + t) / (10 + t)
 * as TensorFlow's ExponentialMovingAverage).
 */
export const automaticDecay = ({ step, total }: { readonly step: number; readonly total: number }): number =>
  Math.max(0, Math.min(0.999, 1 - 5 / total, (1 + step) / (10 + step)));

/**
 * The running average d m + (1 - d) x of a value, as this step leaves it. It begins at `initial`,
 * 1 / classes unless said.
 */
export function runningAverage(
  { math: m, classes, memory, remember, scalar }: LossContext,
  name: string,
  {
    value,
    decay,
    initial = 1 / classes,
  }: { readonly value: Value; readonly decay: RunningDecay; readonly initial?: number },
): Value {
  const automatic = decay === 'auto';
  const d = automatic ? scalar('running:decay', automaticDecay) : decay;
  const rest = automatic ? scalar('running:rest', (position) => 1 - automaticDecay(position)) : 1 - decay;
  const next = m.add(m.mul(memory(name, filled(value.shape, initial)), d), m.mul(value, rest));
  remember(name, next);
  return next;
}

/**
 * Predictions p [count, classes] of a batch, moved towards other shares of the classes: norm(p *
 * shares / mean p), the mean a running one. Shares are equal ones for `uniform` (SoftMatch), those
 * of the predictions on labelled images, also a running mean, for `labelled` (AdaMatch), and
 * half-way between what is found and equal ones for `half`: where the unlabelled images are not
 * balanced, forcing them to be costs more than it brings.
 */
export function aligned(
  context: LossContext,
  p: Value,
  { alignment, runningDecay: decay }: Pick<TechniqueOptions, 'alignment' | 'runningDecay'>,
  labelled: Value,
): Value {
  if (alignment === 'none') return p;
  const { math: m, classes } = context;
  // A class that is never predicted has a mean that vanishes: the 1e-6 of both authors keeps the
  // ratio finite.
  const expected = (name: string, rows: Value): Value =>
    m.add(runningAverage(context, name, { value: meanOfAll(context, rows), decay }), 1e-6);
  const found = expected('shares', p);
  const ratio = {
    uniform: () => m.div(p, found),
    half: () => m.div(m.mul(p, m.add(found, 1 / classes)), found),
    labelled: () => m.mul(p, m.div(expected('labelled shares', labelled), found)),
  }[alignment]();
  return m.div(ratio, m.sum(ratio, [1]));
}

/** A threshold that is relative is this share of how sure the network is of labelled images (AdaMatch). */
const relativeShare = 0.9;

/**
 * The confidence from which a prediction counts: the threshold itself, or where that is `relative`
 * a share of the running mean of max `labelled`, predictions [count, classes] on labelled images: a
 * head that has just begun is sure of nothing.
 */
export function limitOf(
  context: LossContext,
  { threshold, runningDecay: decay }: Pick<TechniqueOptions, 'threshold' | 'runningDecay'>,
  labelled: Value,
): Value | number {
  if (threshold !== 'relative') return threshold;
  const { math: m } = context;
  const value = meanOfAll(context, m.maxClasses(labelled));
  return m.mul(runningAverage(context, 'labelled confidence', { value, decay }), relativeShare);
}

/**
 * A weight that rises with the steps: `shape` maps the share of the ramp that is done, from 0 to 1,
 * to the share of `weight`; the ramp takes the share `rampUp` of all steps.
 */
export const rampUpTo = (
  { scalar }: LossContext,
  weight: number,
  rampUp: number,
  shape: (share: number) => number,
): Value | number =>
  rampUp === 0 ? weight : scalar('ramp', ({ step, total }) => weight * shape(Math.min(1, step / (rampUp * total))));
