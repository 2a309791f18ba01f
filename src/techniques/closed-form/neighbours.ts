import type { Engine } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import { float32 } from '../../tensor.js';
import type { Features } from '../features.js';
import { toUnitLength } from './power-transform.js';

/** A symmetric sparse matrix: the entries of row i are those from `starts[i]` to `starts[i + 1]`. */
export interface Affinities {
  readonly starts: Int32Array;
  readonly columns: Int32Array;
  readonly weights: Float64Array;
}

/** Rows that are compared with all others at a time, and comparisons at most: bound the memory. */
const block = 512;
const together = 2 ** 24;

/**
 * The graph of nearest neighbours: each row is joined to its `k` most similar ones with cos^3, in
 * both directions, and the matrix is D^-1/2 W D^-1/2 (Zhou et al. 2004, Iscen et al. 2019).
 */
export async function affinitiesOf(engine: Engine, rows: Features, k: number): Promise<Affinities> {
  const count = rows.features.length / rows.size;
  const { indexes, cosines } = await nearest(engine, rows, Math.min(k, count - 1));
  const near = indexes.length / count;
  /** Whether j is among the nearest of i. */
  const isNear = (i: number, j: number): boolean => indexes.subarray(i * near, (i + 1) * near).includes(j);
  // Entry [j, i] stands beside [i, j]; where both are near to each other, each has its own already.
  const starts = new Int32Array(count + 1);
  for (let i = 0; i < count; i++) {
    starts[i + 1]! += near;
    for (const j of indexes.subarray(i * near, (i + 1) * near)) if (!isNear(j, i)) starts[j + 1]!++;
  }
  for (let i = 0; i < count; i++) starts[i + 1]! += starts[i]!;
  const columns = new Int32Array(starts[count]!),
    weights = new Float64Array(starts[count]!),
    degrees = new Float64Array(count).fill(1e-12);
  const next = starts.slice();
  const put = (i: number, j: number, weight: number): void => {
    columns[next[i]!] = j;
    weights[next[i]!++] = weight;
    degrees[i]! += weight;
  };
  for (let i = 0; i < count; i++)
    for (let at = i * near; at < (i + 1) * near; at++) {
      const j = indexes[at]!,
        weight = Math.max(0, cosines[at]!) ** 3;
      put(i, j, weight);
      if (!isNear(j, i)) put(j, i, weight);
    }
  for (let i = 0; i < count; i++)
    for (let at = starts[i]!; at < starts[i + 1]!; at++)
      weights[at]! /= Math.sqrt(degrees[i]! * degrees[columns[at]!]!);
  return { starts, columns, weights };
}

/** Row by row, [count, k]. */
interface Neighbours {
  readonly indexes: Int32Array;
  readonly cosines: Float32Array;
}

/** The `k` rows most similar to each, itself left out, in falling order; of equals, the earlier one. */
async function nearest(engine: Engine, { features, size }: Features, k: number): Promise<Neighbours> {
  const count = features.length / size,
    height = Math.min(block, count, Math.max(1, Math.floor(together / count)));
  const rows = features.slice();
  toUnitLength(rows, size);
  const b = new GraphBuilder('cosines');
  const all = b.input('neighbours/rows', 'float32', [count, size]),
    some = b.input('some', 'float32', [height, size]);
  b.outputs({ cosines: b.op('Gemm', [some, all], { transB: 1 }) });
  await engine.write(new Map([['neighbours/rows', float32([count, size], rows)]]));
  const program = await engine.compile(b.build(), { state: { 'neighbours/rows': null }, exact: true });
  const found: Neighbours = { indexes: new Int32Array(count * k), cosines: new Float32Array(count * k) };
  try {
    for (let done = 0; done < count;) {
      // The last block overlaps the one before.
      const start = Math.min(done, count - height);
      const outputs = await program.run({
        some: float32([height, size], rows.slice(start * size, (start + height) * size)),
      });
      const cosines = outputs['cosines']!.data as Float32Array;
      for (; done < start + height; done++)
        takeLargest(cosines.subarray((done - start) * count, (done - start + 1) * count), k, done, found);
    }
    return found;
  } finally {
    await program.close();
    await engine.remove(['neighbours/rows']);
  }
}

/** Puts the `k` largest values, without the one at `row` itself, into that row of `found`. */
function takeLargest(values: Float32Array, k: number, row: number, { indexes, cosines }: Neighbours): void {
  const first = row * k;
  let taken = 0,
    least = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const cosine = values[index]!;
    if ((taken === k && !(cosine > least)) || index === row) continue;
    let place = taken < k ? taken++ : k - 1;
    for (; place > 0 && cosines[first + place - 1]! < cosine; place--) {
      cosines[first + place] = cosines[first + place - 1]!;
      indexes[first + place] = indexes[first + place - 1]!;
    }
    cosines[first + place] = cosine;
    indexes[first + place] = index;
    least = cosines[first + taken - 1]!;
  }
}
