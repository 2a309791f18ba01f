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

/** Rows that are compared with all others at a time: bounds the memory. */
const block = 512;

/**
 * The graph of nearest neighbours: each row is joined to its `k` most similar ones with cos^3, in
 * both directions, and the matrix is D^-1/2 W D^-1/2 (Zhou et al. 2004, Iscen et al. 2019).
 */
export async function affinitiesOf(engine: Engine, rows: Features, k: number): Promise<Affinities> {
  const count = rows.features.length / rows.size;
  const near = await nearest(engine, rows, Math.min(k, count - 1));
  const entries = near.map(() => new Map<number, number>());
  near.forEach((others, i) => {
    for (const { index, cosine } of others) {
      const weight = Math.max(0, cosine) ** 3;
      entries[i]!.set(index, weight);
      entries[index]!.set(i, weight);
    }
  });
  const degrees = entries.map((row) => [...row.values()].reduce((sum, weight) => sum + weight, 1e-12));
  const starts = new Int32Array(count + 1);
  entries.forEach((row, i) => (starts[i + 1] = starts[i]! + row.size));
  const columns = new Int32Array(starts[count]!),
    weights = new Float64Array(starts[count]!);
  entries.forEach((row, i) => {
    let place = starts[i]!;
    for (const [j, weight] of row) {
      columns[place] = j;
      weights[place++] = weight / Math.sqrt(degrees[i]! * degrees[j]!);
    }
  });
  return { starts, columns, weights };
}

interface Neighbour {
  readonly index: number;
  readonly cosine: number;
}

/** The `k` rows most similar to each, itself left out; of equals, the earlier one. */
async function nearest(engine: Engine, { features, size }: Features, k: number): Promise<Neighbour[][]> {
  const count = features.length / size,
    height = Math.min(block, count);
  const rows = features.slice();
  toUnitLength(rows, size);
  const b = new GraphBuilder('cosines');
  const all = b.input('neighbours/rows', 'float32', [count, size]),
    some = b.input('some', 'float32', [height, size]);
  b.outputs({ cosines: b.op('Gemm', [some, all], { transB: 1 }) });
  await engine.write(new Map([['neighbours/rows', float32([count, size], rows)]]));
  const program = await engine.compile(b.build(), { state: { 'neighbours/rows': null }, exact: true });
  try {
    const result: Neighbour[][] = [];
    while (result.length < count) {
      // The last block overlaps the one before.
      const start = Math.min(result.length, count - height);
      const outputs = await program.run({
        some: float32([height, size], rows.slice(start * size, (start + height) * size)),
      });
      const cosines = outputs['cosines']!.data as Float32Array;
      for (let row = result.length - start; row < height; row++)
        result.push(largest(cosines.subarray(row * count, (row + 1) * count), k, start + row));
    }
    return result;
  } finally {
    await program.close();
    await engine.remove(['neighbours/rows']);
  }
}

/** The `k` largest, without the one at `self`, in falling order. */
function largest(values: Float32Array, k: number, self: number): Neighbour[] {
  const found: Neighbour[] = [];
  for (let index = 0; index < values.length; index++) {
    const cosine = values[index]!;
    if (index === self || (found.length === k && !(cosine > found[k - 1]!.cosine))) continue;
    let place = found.length;
    while (place > 0 && found[place - 1]!.cosine < cosine) place--;
    found.splice(place, 0, { index, cosine });
    if (found.length > k) found.pop();
  }
  return found;
}
