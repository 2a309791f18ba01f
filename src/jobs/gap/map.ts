/** A map of features in two dimensions: principal components, then UMAP (McInnes et al. 2018). */
import { setImmediate } from 'node:timers/promises';
import { Random } from '../../random.js';

export type Point = readonly [x: number, y: number];

/** Principal components that the map is made of. */
const components = 50;

/**
 * Rows [count, size] on their first principal components, as many as there are up to `most`:
 * subspace iteration, so that later components are approximate; distances between rows hardly
 * change. Rows of at most `most` numbers are only centred and turned.
 */
export function principalComponents(
  features: Float32Array,
  size: number,
  most: number,
  random: Random,
): Float64Array[] {
  const count = features.length / size;
  const mean = new Float64Array(size);
  for (let i = 0; i < features.length; i++) mean[i % size]! += features[i]! / count;
  const centred = Float64Array.from(features, (value, i) => value - mean[i % size]!);
  const rows = Array.from({ length: count }, (_, i) => centred.subarray(i * size, (i + 1) * size));
  let basis = orthonormal(
    Array.from({ length: Math.min(most, size, count) }, () =>
      Float64Array.from({ length: size }, () => random.normal()),
    ),
  );
  // B <- orthonormal(X^T X B)
  for (let round = 0; round < 8; round++) {
    const next = basis.map(() => new Float64Array(size));
    for (const row of rows) basis.forEach((direction, c) => addScaled(next[c]!, row, dot(row, direction)));
    basis = orthonormal(next);
  }
  return rows.map((row) => Float64Array.from(basis, (direction) => dot(row, direction)));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addScaled(target: Float64Array, source: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * source[i]!;
}

/** Gram-Schmidt, each vector twice; those that depend on the ones before are left out. */
function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const result: Float64Array[] = [];
  let largest = 0;
  for (const vector of vectors) {
    largest = Math.max(largest, Math.sqrt(dot(vector, vector)));
    for (let pass = 0; pass < 2; pass++) for (const other of result) addScaled(vector, other, -dot(vector, other));
    const length = Math.sqrt(dot(vector, vector));
    if (length > 1e-9 * largest) result.push(vector.map((value) => value / length));
  }
  return result;
}

export interface MapOptions {
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * A map of several groups of rows together, group by group. The same rows and seed give the same
 * map. Needs three rows.
 */
export async function mapTogether(
  groups: readonly Float32Array[],
  size: number,
  { seed, signal, onProgress }: MapOptions,
): Promise<Point[][]> {
  const all = new Float32Array(groups.reduce((sum, group) => sum + group.length, 0));
  let offset = 0;
  for (const group of groups) {
    all.set(group, offset);
    offset += group.length;
  }
  const rows = principalComponents(all, size, components, new Random(seed, 'map', 'components'));
  const { UMAP } = await import('umap-js');
  const random = new Random(seed, 'map', 'layout');
  const umap = new UMAP({ nNeighbors: Math.min(15, rows.length - 1), minDist: 0.15, random: () => random.uniform() });
  const epochs = umap.initializeFit(rows.map((row) => [...row]));
  const embedding = umap.getEmbedding();
  startFrom(rows, embedding);
  let last = performance.now();
  for (let epoch = 0; epoch < epochs; epoch++) {
    umap.step();
    if (performance.now() - last > 100) {
      onProgress?.(epoch, epochs);
      await setImmediate();
      signal?.throwIfAborted();
      last = performance.now();
    }
  }
  onProgress?.(epochs, epochs);
  const points = lengthwise(umap.getEmbedding());
  let start = 0;
  return groups.map((group) => points.slice(start, (start += group.length / size)));
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** The points turned so that they spread most along x, which shows them largest on a page. */
function lengthwise(points: readonly (readonly number[])[]): Point[] {
  const mean = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length);
  let xx = 0,
    xy = 0,
    yy = 0;
  for (const point of points) {
    const x = point[0]! - mean[0]!,
      y = point[1]! - mean[1]!;
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2,
    cosine = Math.cos(angle),
    sine = Math.sin(angle);
  return points.map((point) => {
    const x = point[0]! - mean[0]!,
      y = point[1]! - mean[1]!;
    return [round(cosine * x + sine * y), round(cosine * y - sine * x)];
  });
}

/**
 * Lays the points out by their first two components (in a square of 20) before the iteration, which
 * keeps far groups in order; the library would draw them at random.
 */
function startFrom(rows: readonly Float64Array[], embedding: number[][]): void {
  if (rows[0]!.length < 2) return;
  const largest = Math.max(
    ...[0, 1].map((axis) => rows.reduce((most, row) => Math.max(most, Math.abs(row[axis]!)), 0)),
  );
  if (largest === 0) return;
  // What the library drew stays as a little noise: equal points could not part otherwise.
  embedding.forEach((point, i) => {
    for (const axis of [0, 1]) point[axis] = (10 * rows[i]![axis]!) / largest + point[axis]! * 1e-3;
  });
}
