import { invariant } from '../errors.js';

/** Features [count, size] as rows of length 1; a row of zeros stays. */
export function unitRows(features: Float32Array, size: number): Float32Array {
  invariant(features.length % size === 0, `${features.length} numbers are no rows of ${size}`);
  const rows = new Float32Array(features.length);
  for (let start = 0; start < features.length; start += size) {
    let square = 0;
    for (let i = start; i < start + size; i++) square += features[i]! ** 2;
    const length = Math.sqrt(square) || 1;
    for (let i = start; i < start + size; i++) rows[i] = features[i]! / length;
  }
  return rows;
}
