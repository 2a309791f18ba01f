import type { Engine } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import { math } from '../../graph/math.js';
import { float32 } from '../../tensor.js';
import type { Components } from './components.js';

export interface CoverageProblem {
  /** All rows, on their principal components. */
  readonly components: Components;
  /** How much it matters that a row is covered, [count]. */
  readonly weights: Float32Array;
  /** Rows that are chosen already. */
  readonly chosen: readonly number[];
  /** Rows to choose from. */
  readonly candidates: readonly number[];
}

/** Rows that are compared with all others at a time. */
const block = 64;
/** Bytes of similarities that are kept; others are worked out again when they are needed. */
const memory = 2 ** 28;

/**
 * The `count` candidates, best first, that with those chosen already cover all rows best: one after
 * another, that which raises sum_i w_i max_j exp(-|x_i - x_j|^2 / s) most, where j are the rows chosen
 * and s is half the mean squared distance of two rows (Bae et al. 2024, "Generalized coverage for
 * more robust low-budget active learning"; with weights that say how unsure a model is, Bae et al.
 * 2025, "Uncertainty herding"). So a row is chosen that lies where many are which nothing chosen
 * resembles.
 *
 * What a row would add only falls as others are chosen, so that most of it need not be worked out
 * again (Minoux 1978); of equal ones the earlier row is taken.
 */
export async function coverage(
  engine: Engine,
  { components, weights, chosen, candidates }: CoverageProblem,
  count: number,
  onProgress?: (done: number, total: number) => void,
): Promise<number[]> {
  const similarities = await openSimilarities(engine, components, weights.length);
  const covered = new Float32Array(weights.length);
  const add = (similar: Float32Array): void => similar.forEach((x, i) => (covered[i] = Math.max(covered[i]!, x)));
  // What each adds, or added when fewer were chosen.
  const gain = new Float64Array(weights.length);
  const measure = async (rows: readonly number[]): Promise<void> => {
    const similar = await similarities.of(rows);
    rows.forEach((row, k) => {
      const own = similar[k]!;
      let sum = 0;
      for (let i = 0; i < own.length; i++) if (own[i]! > covered[i]!) sum += weights[i]! * (own[i]! - covered[i]!);
      gain[row] = sum;
    });
  };
  const before = (a: number, b: number): number => gain[b]! - gain[a]! || a - b;
  try {
    for (const rows of blocks(chosen)) (await similarities.of(rows)).forEach(add);
    for (const rows of blocks(candidates)) await measure(rows);
    const queue = [...candidates].sort(before),
      result: number[] = [];
    let fresh = new Set(candidates);
    while (result.length < count && queue.length > 0) {
      if (fresh.has(queue[0]!)) {
        const best = queue.shift()!;
        result.push(best);
        (await similarities.of([best])).forEach(add);
        fresh = new Set();
        onProgress?.(result.length, count);
      } else {
        const head = queue.splice(0, block);
        await measure(head);
        for (const row of head) {
          insert(queue, row, before);
          fresh.add(row);
        }
      }
    }
    return result;
  } finally {
    await similarities.close();
  }
}

const blocks = (rows: readonly number[]): number[][] =>
  Array.from({ length: Math.ceil(rows.length / block) }, (_, i) => rows.slice(i * block, (i + 1) * block));

/** Puts a row into a sorted queue. */
function insert(queue: number[], row: number, before: (a: number, b: number) => number): void {
  let low = 0,
    high = queue.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(queue[middle]!, row) < 0) low = middle + 1;
    else high = middle;
  }
  queue.splice(low, 0, row);
}

interface Similarities {
  /** Those of some rows, a block at most, to all: in (0, 1], [count] each. */
  of(rows: readonly number[]): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** exp(-|x_i - x_j|^2 / s), worked out on the engine. */
async function openSimilarities(
  engine: Engine,
  { scores, size, variances }: Components,
  count: number,
): Promise<Similarities> {
  const width = variances.reduce((sum, variance) => sum + variance, 1e-12);
  const b = new GraphBuilder('similarities'),
    m = math(b);
  const all = b.input('coverage/rows', 'float32', [count, size]),
    some = b.input('some', 'float32', [block, size]);
  const products = b.op('Gemm', [some, all], { transB: 1 });
  const lengths = m.add(m.sum(m.square(some), [1]), m.sum(m.square(all), [1], false));
  b.outputs({ similar: m.exp(m.mul(m.sub(m.mul(products, 2), lengths), 1 / width)) });
  await engine.write(new Map([['coverage/rows', float32([count, size], scores)]]));
  const program = await engine.compile(b.build(), { state: { 'coverage/rows': null }, exact: true });
  const kept = new Map<number, Float32Array>();
  return {
    async of(rows) {
      const missing = rows.filter((row) => !kept.has(row));
      const now = new Map<number, Float32Array>();
      if (missing.length > 0) {
        const data = new Float32Array(block * size);
        missing.forEach((row, i) => data.set(scores.subarray(row * size, (row + 1) * size), i * size));
        const { similar } = await program.run({ some: float32([block, size], data) });
        missing.forEach((row, i) => {
          const values = (similar!.data as Float32Array).slice(i * count, (i + 1) * count);
          (4 * count * (kept.size + 1) <= memory ? kept : now).set(row, values);
        });
      }
      return rows.map((row) => (kept.get(row) ?? now.get(row))!);
    },
    async close() {
      await program.close();
      await engine.remove(['coverage/rows']);
    },
  };
}
