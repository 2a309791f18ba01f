/** What rows of the table share. */
import type { Value } from '../graph/graph.js';
import type { Tensor } from '../tensor.js';
import { correctCount, crossEntropy } from '../train/losses.js';
import { labelLoss, type LabelOptions, type ObjectiveResult } from '../train/objective.js';
import type { LossContext, OptionName, View } from './technique.js';

/** How labels are learned. */
export const labelOptions = ['losses', 'labelSmoothing'] as const satisfies readonly OptionName[];

/** For views that are mixed with one another. */
export const mixingOptions = ['cutmix', 'mixup', 'mixProbability'] as const satisfies readonly OptionName[];

/** Options of FixMatch's family. */
export const matchingOptions = [
  'strong',
  'unlabelledRatio',
  'unlabelledWeight',
  ...labelOptions,
] as const satisfies readonly OptionName[];

export { matching as matchingDefaults } from '../options/recipes.js';

/** Labelled images beside two views of others, one weakly and one strongly augmented. */
export const weakAndStrong = [
  { name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true },
  { name: 'weak', images: 'unlabelled', augment: 'weak', perLabelled: 'unlabelledRatio' },
  { name: 'strong', images: 'unlabelled', augment: 'strong', perLabelled: 'unlabelledRatio' },
] as const satisfies readonly View[];

/** What the network says of the weak view, as the strong view is to learn it. */
export interface PseudoLabels {
  /** The class, int64 [count], and how sure of it the network is, [count]. */
  readonly label: Value;
  readonly confidence: Value;
  /** What each counts, [count]. */
  readonly weight: Value;
}

/**
 * The loss of FixMatch and its family (equations 3 to 5):
 *
 *   mean CE(label, x) + lambda * mean over the whole unlabelled batch of weight CE(pseudo-label,
 *   strong)
 */
export function matchingLoss(
  { math: m, classes, targets }: LossContext<'labelled'>,
  { labelled, strong }: { readonly labelled: Value; readonly strong: Value },
  { label, confidence, weight }: PseudoLabels,
  { unlabelledWeight, ...labels }: LabelOptions & { readonly unlabelledWeight: number | Value },
): ObjectiveResult {
  const supervised = labelLoss(m, labelled, targets('labelled'), labels);
  const unsupervised = m.meanBatch(m.mul(weight, crossEntropy(m, strong, m.oneHot(label, classes))));
  return {
    loss: m.add(supervised, m.mul(unsupervised, unlabelledWeight)),
    metrics: { correct: correctCount(m, labelled, targets('labelled')), unsupervised },
    observed: { confidence, predicted: m.toFloat(label), weight },
  };
}

/** The running average d m + (1 - d) x of a value, as this step leaves it; it begins at `initial`. */
export function runningAverage(
  { math: m, memory, remember }: LossContext,
  name: string,
  { value, initial, decay }: { readonly value: Value; readonly initial: Tensor; readonly decay: number },
): Value {
  const next = m.add(m.mul(memory(name, initial), decay), m.mul(value, 1 - decay));
  remember(name, next);
  return next;
}
