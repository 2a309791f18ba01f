/** Which images to label next: those that stand for many others, and of which a model is unsure. */
import type { Engine } from '../engine/engine.js';
import { argmax } from '../evaluate/metrics.js';
import { coverage } from './closed-form/coverage.js';
import { exactViews, type Views } from './closed-form/views.js';
import { consensus, type Consensus } from './consensus.js';
import type { Features } from './features.js';

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
  /** That of these labels, where it is known already. */
  readonly agreed?: Consensus | undefined;
  /** Of these layers, kept for further labels of the same images (`keptViews`). */
  readonly views?: Views | undefined;
}

export interface Suggestion {
  /** Of the image. */
  readonly index: number;
  /** `unsure`: the model is less sure of it than of the mean image. */
  readonly why: 'typical' | 'unsure';
  /** What it is likely to be; undefined where it looks like no class, and as long as no two have labels. */
  readonly predicted: { readonly label: number; readonly confidence: number } | undefined;
}

/**
 * Chooses `count` images without a label, the most useful first: those that with the labelled ones
 * cover most of the weight of all images. Images count alike as long as fewer than two classes have
 * labels, later the more, the less sure a consensus is of them and the fewer labels their class has.
 */
export async function suggestImages(
  engine: Engine,
  { layers, labels, classes, folds, agreed: given, views = exactViews(engine, [layers]) }: SuggestionSet,
  count: number,
  onProgress?: (done: number, total: number) => void,
): Promise<Suggestion[]> {
  const known = Array.from(labels);
  // One image alone has nothing that it could be compared with.
  if (known.length === 1) return known[0]! < 0 && count > 0 ? [{ index: 0, why: 'typical', predicted: undefined }] : [];
  const labelled = [...known.keys()].filter((i) => known[i]! >= 0);
  const isLearnable = new Set(labelled.map((i) => known[i])).size >= 2;
  const agreed =
    given ?? (isLearnable ? await consensus(engine, { networks: [layers], labels, classes, views }, folds) : undefined);
  const beliefs = agreed && beliefsOf(agreed, known, classes);
  const problem = {
    components: (await views.of([0], 'all')).components,
    weights: Float32Array.from(known, (_, i) => beliefs?.[i]!.weight ?? 1),
    chosen: labelled,
    candidates: [...known.keys()].filter((i) => known[i]! < 0),
  };
  const indexes = await coverage(engine, problem, count, onProgress);
  return indexes.map((index) => {
    const { predicted, isUnsure = false } = beliefs?.[index] ?? {};
    return { index, why: isUnsure ? 'unsure' : 'typical', predicted };
  });
}

/** What the consensus makes of an image. */
interface Belief {
  readonly predicted: Suggestion['predicted'];
  /** More than of the mean image. */
  readonly isUnsure: boolean;
  readonly weight: number;
}

/**
 * An image's weight is 1 - s + s H / mean H, with the entropy H of its class probabilities p and the
 * share s of above, times sum_c p_c (m + 1) / (n_c + 1), with n_c labels of class c and m in the mean:
 * so classes get equally many labels however many images they have. Images that look like no class
 * count as those in the mean: their class may have no labels yet.
 */
function beliefsOf({ probabilities, aside }: Consensus, known: readonly number[], classes: number): Belief[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of known) if (label >= 0) counts[label]!++;
  const mean = counts.reduce((sum, n) => sum + n, 0) / classes;
  const rows = known.map((_, i) => probabilities.subarray(i * classes, (i + 1) * classes));
  const entropies = rows.map((row, i) => (aside[i] === 1 ? 0 : entropy(row)));
  const usual = entropies.reduce((sum, x) => sum + x, 1e-12) / aside.filter((out) => out === 0).length;
  return rows.map((row, i) => {
    if (aside[i] === 1) return { predicted: undefined, isUnsure: false, weight: 1 };
    const lack = row.reduce((sum, p, c) => sum + (p * (mean + 1)) / (counts[c]! + 1), 0);
    const label = argmax(row, 0, classes);
    return {
      predicted: { label, confidence: row[label]! },
      isUnsure: entropies[i]! > usual,
      weight: lack * (1 - unsureShare + (unsureShare * entropies[i]!) / usual),
    };
  });
}

const entropy = (probabilities: Float32Array): number =>
  probabilities.reduce((sum, p) => (p > 1e-9 ? sum - p * Math.log(p) : sum), 0);
