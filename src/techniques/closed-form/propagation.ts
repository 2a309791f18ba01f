import type { Affinities } from './neighbours.js';

/** How much comes from the neighbours, and how often. */
const alpha = 0.8;
const iterations = 50;

/**
 * Label spreading (Zhou et al. 2004): Z <- alpha S Z + (1 - alpha) P, where P is what is known or
 * guessed beforehand; rows of `known` (not -1) stay what they are. Probabilities [count, classes].
 */
export function propagate(
  { starts, columns, weights }: Affinities,
  guess: Float32Array,
  known: ArrayLike<number>,
  classes: number,
): Float32Array {
  const count = known.length;
  const prior = withKnown(guess, known, classes);
  let now = prior.slice(),
    next = new Float32Array(prior.length);
  const sums = new Float64Array(classes);
  for (let iteration = 0; iteration < iterations; iteration++) {
    for (let i = 0; i < count; i++) {
      sums.fill(0);
      for (let entry = starts[i]!; entry < starts[i + 1]!; entry++) {
        const start = columns[entry]! * classes,
          weight = weights[entry]!;
        for (let c = 0; c < classes; c++) sums[c]! += weight * now[start + c]!;
      }
      for (let c = 0; c < classes; c++) {
        const place = i * classes + c;
        next[place] = known[i]! >= 0 ? prior[place]! : alpha * sums[c]! + (1 - alpha) * prior[place]!;
      }
    }
    [now, next] = [next, now];
  }
  for (let i = 0; i < count; i++) {
    const row = now.subarray(i * classes, (i + 1) * classes);
    const sum = row.reduce((a, x) => a + x, 1e-12);
    for (let c = 0; c < classes; c++) row[c]! /= sum;
  }
  return now;
}

/** Probabilities with one-hot rows where the class is known (not -1). */
export function withKnown(
  probabilities: Float32Array,
  known: ArrayLike<number>,
  classes: number,
): Float32Array<ArrayBuffer> {
  const result = Float32Array.from(probabilities);
  for (let i = 0; i < known.length; i++) {
    if (known[i]! < 0) continue;
    result.fill(0, i * classes, (i + 1) * classes);
    result[i * classes + known[i]!] = 1;
  }
  return result;
}
