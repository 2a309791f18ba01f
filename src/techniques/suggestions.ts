/** Which images to label next: those that stand for many others, and of which a model is unsure. */
import type { Engine } from '../engine/engine.js';
import { argmax } from '../evaluate/metrics.js';
import { principalComponents } from './closed-form/components.js';
import { coverage } from './closed-form/coverage.js';
import { powerTransform } from './closed-form/power-transform.js';
import { consensus } from './consensus.js';
import type { Features } from './features.js';

/** Components in which images are compared. */
const dimensions = 256;
/** Share of an image's weight that goes with how unsure the consensus is of it. */
const unsureShare = 0.5;

export interface SuggestionSet {
  /** Of all images, labelled and not: one or several layers of a network. */
  readonly layers: readonly Features[];
  /** Of each image; -1: not known. */
  readonly labels: ArrayLike<number>;
  readonly classes: number;
  /** Labelled images by index that are held out in turn, so that confidences are honest. */
  readonly folds: readonly (readonly number[])[];
}

export interface Suggestion {
  /** Of the image. */
  readonly index: number;
  /** `unsure`: the model is less sure of it than of the mean image. */
  readonly why: 'typical' | 'unsure';
  /** What it is likely to be; undefined as long as no two classes have labels. */
  readonly predicted: { readonly label: number; readonly confidence: number } | undefined;
}

/**
 * Chooses `count` images without a label, the most useful first. Images count alike as long as fewer
 * than two classes have labels; later half of an image's weight is the entropy of what a consensus
 * says of it, relative to the mean. Those are chosen that with the labelled ones cover most of this
 * weight.
 */
export async function suggestImages(
  engine: Engine,
  { layers, labels, classes, folds }: SuggestionSet,
  count: number,
  onProgress?: (done: number, total: number) => void,
): Promise<Suggestion[]> {
  const known = Array.from(labels);
  const labelled = [...known.keys()].filter((i) => known[i]! >= 0);
  const probabilities =
    new Set(labelled.map((i) => known[i])).size < 2
      ? undefined
      : (await consensus(engine, { networks: [layers], labels, classes }, folds)).probabilities;
  const unsure = known.map((_, i) =>
    probabilities === undefined ? 0 : entropy(probabilities.subarray(i * classes, (i + 1) * classes)),
  );
  const mean = unsure.reduce((sum, x) => sum + x, 1e-12) / unsure.length;
  const share = probabilities === undefined ? 0 : unsureShare;
  const components = await principalComponents(engine, powerTransform(layers), dimensions);
  const indexes = await coverage(
    engine,
    {
      components,
      weights: Float32Array.from(unsure, (x) => 1 - share + (share * x) / mean),
      chosen: labelled,
      candidates: [...known.keys()].filter((i) => known[i]! < 0),
    },
    count,
    onProgress,
  );
  return indexes.map((index) => {
    if (probabilities === undefined) return { index, why: 'typical', predicted: undefined };
    const label = argmax(probabilities, index * classes, classes);
    return {
      index,
      why: unsure[index]! > mean ? 'unsure' : 'typical',
      predicted: { label, confidence: probabilities[index * classes + label]! },
    };
  });
}

const entropy = (probabilities: Float32Array): number =>
  probabilities.reduce((sum, p) => (p > 1e-9 ? sum - p * Math.log(p) : sum), 0);
