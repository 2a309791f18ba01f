import type { Affinities } from './neighbours.js';

/** How much comes from the neighbours. */
const alpha = 0.8;
/** Each halves the error: what is left is below a ten thousandth. */
const iterations = 15;

/**
 * Label spreading (Zhou et al. 2004): the fixed point of Z = alpha S Z + (1 - alpha) P, where P is
 * what is known or guessed beforehand; rows of `known` (not -1) stay what they are. Probabilities
 * [count, classes]. Found by Chebyshev's semi-iterative method (Golub and Varga 1961), as the
 * eigenvalues of alpha S lie between -alpha and alpha.
 */
export function propagate(
  affinities: Affinities,
  guess: Float32Array,
  known: ArrayLike<number>,
  classes: number,
): Float32Array {
  const count = known.length;
  const prior = withKnown(guess, known, classes);
  let now = prior.slice(),
    before = prior.slice();
  const sums = new Float64Array(classes);
  let omega = 1;
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (iteration > 0) omega = 1 / (1 - (alpha * alpha * omega) / (iteration === 1 ? 2 : 4));
    for (let i = 0; i < count; i++) {
      if (known[i]! >= 0) continue;
      sumOfNeighbours(sums, now, affinities, i);
      const start = i * classes;
      for (let c = 0; c < classes; c++) {
        const step = alpha * sums[c]! + (1 - alpha) * prior[start + c]!;
        before[start + c]! += omega * (step - before[start + c]!);
      }
    }
    [now, before] = [before, now];
  }
  for (let start = 0; start < now.length; start += classes) {
    let sum = 1e-12;
    // What is nearly none may come out a little below.
    for (let c = start; c < start + classes; c++) sum += now[c] = Math.max(0, now[c]!);
    for (let c = start; c < start + classes; c++) now[c]! /= sum;
  }
  return now;
}

/** Row `i` of S Z into `sums`. */
function sumOfNeighbours(
  sums: Float64Array,
  rows: Float32Array,
  { starts, columns, weights }: Affinities,
  i: number,
): void {
  sums.fill(0);
  const end = starts[i + 1]!,
    classes = sums.length;
  // Four rows at a time, the last ones with nothing: nearly all of the time is spent on sums.
  const place = (entry: number): number => columns[Math.min(entry, end - 1)]! * classes;
  const weight = (entry: number): number => (entry < end ? weights[entry]! : 0);
  for (let entry = starts[i]!; entry < end; entry += 4) {
    const a = place(entry),
      b = place(entry + 1),
      d = place(entry + 2),
      e = place(entry + 3);
    const wa = weight(entry),
      wb = weight(entry + 1),
      wd = weight(entry + 2),
      we = weight(entry + 3);
    for (let c = 0; c < classes; c++)
      sums[c]! += wa * rows[a + c]! + wb * rows[b + c]! + wd * rows[d + c]! + we * rows[e + c]!;
  }
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
