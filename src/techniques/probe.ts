import type { Engine } from '../engine/engine.js';
import { crossEntropy } from '../evaluate/metrics.js';
import { balancedWeights, momentsOf, oneHot, openRegression, predict, startOf, type LinearHead } from './regression.js';

/**
 * Transfer learning, first approach: the backbone is frozen and only the head is trained. A linear
 * head on fixed features is a convex problem, so it is solved to its optimum (L2-regularised
 * softmax regression on standardised features, by L-BFGS) rather than trained for a handful of
 * epochs. All classes count alike, however many labels each has. The strength of the penalty is chosen on held-out
 * labels.
 */

/** Features [count, size] and integer labels of the same images. */
export interface FeatureSet {
  readonly features: Float32Array;
  readonly size: number;
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

export interface ProbeResult {
  readonly head: LinearHead;
  /**
   * The chosen penalty: loss = mean cross-entropy + l2 / 2 * ||weight||^2, weights on standardised
   * features.
   */
  readonly l2: number;
  /**
   * Logits of every image by a head that was not fitted on it, when it was held out: [count,
   * classes] and its images.
   */
  readonly heldOut: { readonly logits: Float32Array; readonly indexes: readonly number[] };
  /** The head that each fold was predicted with. */
  readonly foldHeads: readonly LinearHead[];
}

/** Penalties that are tried, from strong to weak, each fit starting where the one before ended. */
const penalties = [1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4];

/** The penalty that is taken when there is nothing to choose it on: 0.1. */
const unselected = 2;

/**
 * Fits the head. `folds` lists the held-out image indexes of each fold (one fold: a plain
 * hold-out); the penalty with the lowest held-out cross-entropy is chosen (a middling one without
 * folds) and the head is fitted again on the images `refit`.
 */
export async function fitProbe(
  engine: Engine,
  set: FeatureSet,
  folds: readonly (readonly number[])[],
  refit: readonly number[],
): Promise<ProbeResult> {
  const labelsOf = (some: readonly number[]): number[] => some.map((index) => set.labels[index]!);
  /** The weights of these images, of all; 0 for the others. */
  const including = (some: readonly number[]): Float32Array => {
    const included = new Float32Array(set.labels.length);
    const weights = balancedWeights(labelsOf(some), set.classes);
    some.forEach((index, i) => (included[index] = weights[i]!));
    return included;
  };
  const targets = oneHot(set.labels, set.classes);
  // What is not learned from has no part in the features' scale either.
  const learned = Float32Array.from({ length: refit.length * set.size }, (_, i) => {
    return set.features[refit[Math.floor(i / set.size)]! * set.size + (i % set.size)]!;
  });
  const moments = momentsOf({ features: learned, size: set.size });
  const regression = await openRegression(engine, set, set.classes, moments);
  try {
    const indexes = folds.flat();
    const heldOut = penalties.map(() => new Float32Array(indexes.length * set.classes));
    let offset = 0;
    const heads: LinearHead[][] = [];
    for (const fold of folds) {
      const out = new Set(fold);
      const included = including([...Array(set.labels.length).keys()].filter((index) => !out.has(index)));
      const x = startOf(set);
      const path: LinearHead[] = [];
      for (const [p, l2] of penalties.entries()) {
        path.push(await regression.fit({ targets, included, l2 }, x));
        predict(set, path[p]!, fold, heldOut[p]!.subarray(offset * set.classes));
      }
      heads.push(path);
      offset += fold.length;
    }
    const losses = heldOut.map((logits) => balancedLoss(logits, labelsOf(indexes), set.classes));
    const best = folds.length === 0 ? unselected : losses.indexOf(Math.min(...losses));
    const everything = including(refit);
    const x = startOf(set);
    let head: LinearHead;
    for (const [p, l2] of penalties.slice(0, best + 1).entries())
      head = await regression.fit({ targets, included: everything, l2, settle: p === best }, x);
    return {
      head: head!,
      l2: penalties[best]!,
      heldOut: { logits: heldOut[best]!, indexes },
      foldHeads: heads.map((path) => path[best]!),
    };
  } finally {
    await regression.close();
  }
}

/** Mean cross-entropy, all classes counting alike. */
function balancedLoss(logits: Float32Array, labels: readonly number[], classes: number): number {
  const weights = balancedWeights(labels, classes);
  const sum = labels.reduce((before, label, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    return before + weights[i]! * crossEntropy(row, [label], classes);
  }, 0);
  return sum / labels.length;
}
