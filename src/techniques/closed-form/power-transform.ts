import type { Features } from '../features.js';

/** A unit vector that is no further from another than this is the same. */
const rounding = 1e-6;

/**
 * Features of one or several layers side by side, each made more like a Gaussian (Hu et al. 2021,
 * "Leveraging the feature distribution in transfer-based few-shot learning"): roots, unit length,
 * the mean taken off, unit length again. Every layer counts the same; of a layer that is the same for
 * all images nothing is left, zeros. [count, sum of sizes].
 */
export function powerTransform(layers: readonly Features[]): Features {
  const size = layers.reduce((sum, layer) => sum + layer.size, 0),
    count = layers[0]!.features.length / layers[0]!.size;
  const features = new Float32Array(count * size);
  const share = 1 / Math.sqrt(layers.length);
  let offset = 0;
  for (const layer of layers) {
    const mean = new Float64Array(layer.size);
    for (let row = 0; row < count; row++) {
      const to = features.subarray(row * size + offset, row * size + offset + layer.size);
      for (let i = 0; i < layer.size; i++) {
        const x = layer.features[row * layer.size + i]!;
        to[i] = Math.sign(x) * Math.sqrt(Math.abs(x));
      }
      scaleTo(1, to);
      for (let i = 0; i < layer.size; i++) mean[i]! += to[i]! / count;
    }
    for (let row = 0; row < count; row++) {
      const to = features.subarray(row * size + offset, row * size + offset + layer.size);
      for (let i = 0; i < layer.size; i++) to[i]! -= mean[i]!;
      scaleTo(share, to, rounding);
    }
    offset += layer.size;
  }
  return { features, size };
}

/** Divides every row by its length; zeros stay. */
export function toUnitLength(rows: Float32Array, size: number): void {
  for (let start = 0; start < rows.length; start += size) scaleTo(1, rows.subarray(start, start + size));
}

/** To zeros where the row is no longer than `least`. */
function scaleTo(length: number, row: Float32Array, least = 0): void {
  let squares = 0;
  for (let i = 0; i < row.length; i++) squares += row[i]! * row[i]!;
  const factor = squares > least * least ? length / Math.sqrt(squares) : 0;
  for (let i = 0; i < row.length; i++) row[i]! *= factor;
}
