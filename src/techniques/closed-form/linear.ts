import type { Engine } from '../../engine/engine.js';
import { balancedWeights, oneHot, openRegression, startOf } from '../regression.js';
import type { Mixture } from './mixture.js';
import type { Images } from './views.js';

/** On features of unit variance. */
const l2 = 0.03;

/** A linear classifier on the labelled images, of which all classes count alike. */
export interface Linear {
  /** Probabilities of all images, [count, classes], learned from those of the labelled images that `known` has. */
  classify(known: Int32Array): Promise<Float32Array>;
  close(): Promise<void>;
}

/** `labels`: of all images, -1 for none. `mixture`: of the same images, which applies what is learned. */
export async function openLinear(
  engine: Engine,
  { components: { scores, size }, deviation }: Pick<Images, 'components' | 'deviation'>,
  mixture: Mixture,
  {
    labels,
    classes,
    iterations,
  }: { readonly labels: Int32Array; readonly classes: number; readonly iterations?: number | undefined },
): Promise<Linear> {
  const rows = [...labels.keys()].filter((i) => labels[i]! >= 0);
  const features = new Float32Array(rows.length * size);
  rows.forEach((row, i) => features.set(scores.subarray(row * size, (row + 1) * size), i * size));
  const regression = await openRegression(engine, { features, size }, classes, {
    mean: new Float64Array(size),
    deviation: new Float64Array(size).fill(deviation),
  });
  const targets = oneHot(
    rows.map((row) => labels[row]!),
    classes,
  );
  return {
    async classify(known) {
      const included = balancedWeights(
        rows.map((row) => known[row]!),
        classes,
      );
      return mixture.classify(await regression.fit({ targets, included, l2, iterations }, startOf({ size, classes })));
    },
    close: () => regression.close(),
  };
}
