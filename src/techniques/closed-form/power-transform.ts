import type { Features } from '../features.js';

/**
 * Features of one or several layers side by side, each made more like a Gaussian (Hu et al. 2021,
 * "Leveraging the feature distribution in transfer-based few-shot learning"): roots, unit length,
 * the mean taken off, unit length again. Every layer counts the same. [count, sum of sizes].
 */
export function powerTransform(layers: readonly Features[]): Features {
  const size = layers.reduce((sum, layer) => sum + layer.size, 0),
    count = layers[0]!.features.length / layers[0]!.size;
  const features = new Float32Array(count * size);
  let offset = 0;
  for (const layer of layers) {
    const transformed = transformLayer(layer);
    for (let row = 0; row < count; row++)
      features.set(transformed.subarray(row * layer.size, (row + 1) * layer.size), row * size + offset);
    offset += layer.size;
  }
  const share = 1 / Math.sqrt(layers.length);
  return { features: features.map((x) => x * share), size };
}

function transformLayer({ features, size }: Features): Float32Array {
  const count = features.length / size;
  const rooted = features.map((x) => Math.sign(x) * Math.sqrt(Math.abs(x)));
  toUnitLength(rooted, size);
  const mean = new Float64Array(size);
  for (let i = 0; i < rooted.length; i++) mean[i % size]! += rooted[i]! / count;
  const centred = rooted.map((x, i) => x - mean[i % size]!);
  toUnitLength(centred, size);
  return centred;
}

/** Divides every row by its length; zeros stay. */
export function toUnitLength(rows: Float32Array, size: number): void {
  for (let start = 0; start < rows.length; start += size) {
    const row = rows.subarray(start, start + size);
    const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    if (length > 0) for (let i = 0; i < size; i++) row[i]! /= length;
  }
}
