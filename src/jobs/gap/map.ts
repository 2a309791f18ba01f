/** A map of features in two dimensions: principal components, then UMAP (McInnes et al. 2018). */
import { setImmediate } from 'node:timers/promises';
import type { Engine } from '../../engine/engine.js';
import { Random } from '../../random.js';
import { principalComponents } from '../../techniques/closed-form/components.js';

export type Point = readonly [x: number, y: number];

/** Principal components that the map is made of. */
const most = 50;

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
  engine: Engine,
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
  const rows = await rowsOf(engine, centred(all, size), size, new Random(seed, 'map', 'components'));
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

/** Rows on their principal components, between which distances are hardly changed. */
async function rowsOf(engine: Engine, features: Float32Array, size: number, random: Random): Promise<Float32Array[]> {
  const { scores, size: wide } = await principalComponents(engine, { features, size }, most, random);
  return Array.from({ length: scores.length / wide }, (_, i) => scores.subarray(i * wide, (i + 1) * wide));
}

function centred(rows: Float32Array, size: number): Float32Array {
  const mean = new Float64Array(size),
    count = rows.length / size;
  for (let i = 0; i < rows.length; i++) mean[i % size]! += rows[i]! / count;
  return rows.map((value, i) => value - mean[i % size]!);
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
function startFrom(rows: readonly Float32Array[], embedding: number[][]): void {
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
