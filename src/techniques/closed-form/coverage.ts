import type { Engine } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Value } from '../../graph/graph.js';
import { math } from '../../graph/math.js';
import { float32, type Tensor } from '../../tensor.js';
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

/** Rows that are compared with all others at a time: bounds the memory. */
const block = 64;

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
  { components: { scores, size, variances }, weights, chosen, candidates }: CoverageProblem,
  count: number,
  onProgress?: (done: number, total: number) => void,
): Promise<number[]> {
  const rows = weights.length;
  const width = variances.reduce((sum, variance) => sum + variance, 1e-12);
  await engine.write(new Map([['coverage/rows', float32([rows, size], scores)]]));
  const { kernel, gains } = await programs(engine, rows, size, width);
  try {
    let covered = new Float32Array(rows);
    const take = async (taken: readonly number[]): Promise<void> => {
      const { similar } = await kernel.run({ some: blockOf(scores, size, taken) });
      const values = similar!.data as Float32Array;
      covered = covered.map((most, i) => taken.reduce((max, _, k) => Math.max(max, values[k * rows + i]!), most));
    };
    for (let start = 0; start < chosen.length; start += block) await take(chosen.slice(start, start + block));
    // What each adds, or added when fewer were chosen.
    const gain = new Float32Array(rows);
    const measure = async (some: readonly number[]): Promise<void> => {
      const inputs = { covered: float32([rows], covered), weights: float32([rows], weights) };
      const outputs = await gains.run({ some: blockOf(scores, size, some), ...inputs });
      some.forEach((row, i) => (gain[row] = outputs['gain']!.data[i] as number));
    };
    for (let start = 0; start < candidates.length; start += block)
      await measure(candidates.slice(start, start + block));
    const before = (a: number, b: number): number => gain[b]! - gain[a]! || a - b;
    const queue = [...candidates].sort(before);
    const result: number[] = [];
    let fresh = new Set(candidates);
    while (result.length < count) {
      if (!fresh.has(queue[0]!)) {
        const head = queue.splice(0, block);
        await measure(head);
        for (const row of head) {
          insert(queue, row, before);
          fresh.add(row);
        }
        continue;
      }
      const best = queue.shift()!;
      result.push(best);
      await take([best]);
      fresh = new Set();
      onProgress?.(result.length, count);
    }
    return result;
  } finally {
    await kernel.close();
    await gains.close();
    await engine.remove(['coverage/rows']);
  }
}

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

/** Some rows, [block, size]; what is left of the block is zeros. */
function blockOf(scores: Float32Array, size: number, rows: readonly number[]): Tensor {
  const data = new Float32Array(block * size);
  rows.forEach((row, i) => data.set(scores.subarray(row * size, (row + 1) * size), i * size));
  return float32([block, size], data);
}

/** How similar some rows are to all, [block, rows], and what each of them would add, [block]. */
async function programs(engine: Engine, rows: number, size: number, width: number) {
  const compile = (outputsOf: (b: GraphBuilder, similar: Value) => Readonly<Record<string, Value>>) => {
    const b = new GraphBuilder('coverage'),
      m = math(b);
    const all = b.input('coverage/rows', 'float32', [rows, size]),
      some = b.input('some', 'float32', [block, size]);
    const products = b.op('Gemm', [some, all], { transB: 1 });
    const lengths = m.add(m.sum(m.square(some), [1]), m.sum(m.square(all), [1], false));
    const similar = m.exp(m.mul(m.sub(m.mul(products, 2), lengths), 1 / width));
    b.outputs(outputsOf(b, similar));
    return engine.compile(b.build(), { state: { 'coverage/rows': null }, exact: true });
  };
  return {
    kernel: await compile((_, similar) => ({ similar })),
    gains: await compile((b, similar) => {
      const m = math(b);
      const more = b.op('Relu', [m.sub(similar, b.input('covered', 'float32', [rows]))]);
      return { gain: m.sum(m.mul(more, b.input('weights', 'float32', [rows])), [1], false) };
    }),
  };
}
