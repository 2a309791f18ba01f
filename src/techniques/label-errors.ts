/**
 * Labels that are likely wrong, by confident learning (Northcutt et al. 2021): what a model that did not
 * see the label of an image says of it is compared with that label, class by class, as a model may be
 * less sure of one class than of another.
 */
import { argmax } from '../evaluate/metrics.js';

/** How much a label is in doubt. */
export interface LabelDoubt {
  /** The image, by its row. */
  readonly index: number;
  /** Of its label, as held-out predictions have it. */
  readonly confidence: number;
  /** The most likely of the other classes. */
  readonly suggested: number;
  readonly suggestedConfidence: number;
  /**
   * Whether the image counts as one of another class: it is as sure to be of that one as images with
   * that label are on average, which it is not of its own, or less.
   */
  readonly suspect: boolean;
}

/**
 * The labels in the order of doubt, the least likely first. `probabilities` [count, classes] are held
 * out: those of a row come from a model that did not learn its label.
 */
export function doubtLabels(
  probabilities: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
): readonly LabelDoubt[] {
  const thresholds = meanConfidences(probabilities, labels, classes);
  const doubts = Array.from(labels, (label, index): LabelDoubt => {
    const row = probabilities.subarray(index * classes, (index + 1) * classes);
    const others = row.map((p, c) => (c === label ? -1 : p));
    const suggested = argmax(others, 0, classes);
    const counted = row.map((p, c) => (p >= thresholds[c]! ? p : -1));
    const countsAs = argmax(counted, 0, classes);
    return {
      index,
      confidence: row[label]!,
      suggested,
      suggestedConfidence: row[suggested]!,
      suspect: counted[countsAs]! >= 0 && countsAs !== label,
    };
  });
  return doubts.sort((a, b) => a.confidence - b.confidence || b.suggestedConfidence - a.suggestedConfidence);
}

/** How sure predictions are of a class, on average over the images with that label. */
function meanConfidences(probabilities: Float32Array, labels: ArrayLike<number>, classes: number): Float64Array {
  const sums = new Float64Array(classes),
    counts = new Float64Array(classes);
  for (let i = 0; i < labels.length; i++) {
    sums[labels[i]!]! += probabilities[i * classes + labels[i]!]!;
    counts[labels[i]!]!++;
  }
  return sums.map((sum, c) => (counts[c]! > 0 ? sum / counts[c]! : Infinity));
}
