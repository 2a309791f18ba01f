/** What rows of the table share. */
import type { Shape, Value } from '../graph/graph.js';
import { float32, sizeOf, type Tensor } from '../tensor.js';
import { correctCount, crossEntropy } from '../train/losses.js';
import { labelLoss, type LabelOptions, type ObjectiveResult } from '../train/objective.js';
import type { LossContext, OptionName, RunningDecay, View } from './technique.js';

/** How labels are learned. */
export const labelOptions = ['losses', 'labelSmoothing'] as const satisfies readonly OptionName[];

/** For views that are mixed with one another. */
export const mixingOptions = ['cutmix', 'mixup', 'mixProbability'] as const satisfies readonly OptionName[];

/** Options of FixMatch's family; labelled images alone are mixed. */
export const matchingOptions = [
  'strong',
  'unlabelledRatio',
  'unlabelledWeight',
  ...labelOptions,
  ...mixingOptions,
] as const satisfies readonly OptionName[];

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

/** Logits that the loss of FixMatch's family is made of. */
export interface MatchedLogits {
  readonly labelled: Value;
  readonly strong: Value;
  /** The loss on labels, where it is not that of `labelled` alone. */
  readonly supervised?: Value;
}

/**
 * The loss of FixMatch and its family (Sohn et al. 2020, equations 3 to 5):
 *
 *   mean CE(label, x) + lambda * mean over the whole unlabelled batch of weight CE(pseudo-label,
 *   strong)
 */
export function matchingLoss(
  { math: m, classes, targets }: LossContext<'labelled'>,
  { labelled, strong, supervised }: MatchedLogits,
  { label, confidence, weight }: PseudoLabels,
  { unlabelledWeight, ...labels }: LabelOptions & { readonly unlabelledWeight: number | Value },
): ObjectiveResult {
  const own = supervised ?? labelLoss(m, labelled, targets('labelled'), labels);
  const unsupervised = m.meanBatch(m.mul(weight, crossEntropy(m, strong, m.oneHot(label, classes))));
  return {
    loss: m.add(own, m.mul(unsupervised, unlabelledWeight)),
    metrics: { correct: correctCount(m, labelled, targets('labelled')), unsupervised },
    observed: { confidence, predicted: m.toFloat(label), weight },
  };
}

/** A tensor of one number. */
export const filled = (shape: Shape, value: number): Tensor => {
  const dims = shape.map(Number);
  return float32(dims, new Float32Array(sizeOf(dims)).fill(value));
};

/**
 * Decay of a running average in a training of so many steps: 0.999 as in the papers, whose
 * trainings have 100,000; less where that would be longer than the training.
 */
export const automaticDecay = (steps: number): number => Math.max(0, Math.min(0.999, 1 - 5 / steps));

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
  const d = automatic ? scalar('running:decay', ({ total }) => automaticDecay(total)) : decay;
  const rest = automatic ? scalar('running:rest', ({ total }) => 1 - automaticDecay(total)) : 1 - decay;
  const next = m.add(m.mul(memory(name, filled(value.shape, initial)), d), m.mul(value, rest));
  remember(name, next);
  return next;
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
): Value => scalar('ramp', ({ step, total }) => weight * shape(rampUp > 0 ? Math.min(1, step / (rampUp * total)) : 1));
