import type { Engine, Program } from '../../engine/engine.js';
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

/** Rows that are compared with all others at a time. */
const block = 64;
/** Bytes of similarities that are kept; others are worked out again when they are needed. */
const memory = 2 ** 28;
/**
 * What a sum of float32 may be too small by: a share of it for each term, as it is rounded, and of all weights, as a
 * similarity is.
 */
const rounding = { ofTerm: 2 ** -23, ofWeights: 2 ** -20 };

/**
 * The `count` candidates, best first, that with those chosen already cover all rows best: one after
 * another, that which raises sum_i w_i max_j exp(-|x_i - x_j|^2 / s) most, where j are the rows chosen
 * and s is half the mean squared distance of two rows (Bae et al. 2024, "Generalized coverage for
 * more robust low-budget active learning"; with weights that say how unsure a model is, Bae et al.
 * 2025, "Uncertainty herding"). So a row is chosen that lies where many are which nothing chosen
 * resembles.
 *
 * What a row would add only falls as others are chosen, so that most of it need not be worked out
 * again (Minoux 1978); of equal ones the earlier row is taken. How much it adds at most, the engine sums up in
 * float32; similarities are brought here, and summed up exactly, of those rows alone that may add most.
 */
export async function coverage(
  engine: Engine,
  { components, weights, chosen, candidates }: CoverageProblem,
  count: number,
  onProgress?: (done: number, total: number) => void,
): Promise<number[]> {
  const similarities = await openSimilarities(engine, components, weights);
  const covered = new Float32Array(weights.length);
  const add = (similar: Float32Array): void => similar.forEach((x, i) => (covered[i] = Math.max(covered[i]!, x)));
  // What each adds: exactly, or at most, or when fewer were chosen.
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
  const bound = async (rows: readonly number[]): Promise<void> => {
    const most = await similarities.boundsOf(rows);
    rows.forEach((row, k) => (gain[row] = most[k]!));
  };
  const before = (a: number, b: number): number => gain[b]! - gain[a]! || a - b;
  try {
    for (const rows of blocks(chosen)) (await similarities.of(rows)).forEach(add);
    await similarities.cover(covered);
    for (const rows of blocks(candidates)) await bound(rows);
    const queue = [...candidates].sort(before),
      result: number[] = [];
    const exact = new Set<number>(),
      bounded = new Set(candidates);
    while (result.length < count && queue.length > 0) {
      if (exact.has(queue[0]!)) {
        const best = queue.shift()!;
        result.push(best);
        (await similarities.of([best])).forEach(add);
        await similarities.cover(covered);
        exact.clear();
        bounded.clear();
        onProgress?.(result.length, count);
        continue;
      }
      // Of a row whose similarities are not here, it is first worked out what it adds at most.
      const isDue = (row: number): boolean => similarities.isKept(row) || bounded.has(row);
      const isExact = isDue(queue[0]!);
      const end = queue.findIndex((row, i) => i === block || exact.has(row));
      const front = queue.splice(0, end < 0 ? block : end);
      const head = front.filter((row) => isDue(row) === isExact);
      queue.unshift(...front.filter((row) => isDue(row) !== isExact));
      await (isExact ? measure(head) : bound(head));
      for (const row of head) {
        insert(queue, row, before);
        (isExact ? exact : bounded).add(row);
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
  /** Whether those of a row are here. */
  isKept(row: number): boolean;
  /** How much of each row is covered, [count]: what bounds are worked out with from now on. */
  cover(covered: Float32Array): Promise<void>;
  /** What each of some rows, a block at most, adds to that at most. */
  boundsOf(rows: readonly number[]): Promise<number[]>;
  close(): Promise<void>;
}

/** exp(-|x_i - x_j|^2 / s), worked out on the engine. */
async function openSimilarities(
  engine: Engine,
  { scores, size, variances }: Components,
  weights: Float32Array,
): Promise<Similarities> {
  const count = weights.length,
    slack = rounding.ofWeights * weights.reduce((sum, weight) => sum + weight, 0);
  await engine.write(
    new Map([
      [names.rows, float32([count, size], scores)],
      [names.weights, float32([count, 1], weights)],
    ]),
  );
  const { similarities, bounds } = await programs(engine, { count, size, variances });
  const kept = new Map<number, Float32Array>();
  const some = (rows: readonly number[]): { readonly some: Tensor } => {
    const data = new Float32Array(block * size);
    rows.forEach((row, i) => data.set(scores.subarray(row * size, (row + 1) * size), i * size));
    return { some: float32([block, size], data) };
  };
  return {
    async of(rows) {
      const missing = rows.filter((row) => !kept.has(row));
      const now = new Map<number, Float32Array>();
      if (missing.length > 0) {
        const { similar } = await similarities.run(some(missing));
        missing.forEach((row, i) => {
          const values = (similar!.data as Float32Array).slice(i * count, (i + 1) * count);
          (4 * count * (kept.size + 1) <= memory ? kept : now).set(row, values);
        });
      }
      return rows.map((row) => (kept.get(row) ?? now.get(row))!);
    },
    isKept: (row) => kept.has(row),
    cover: (covered) => engine.write(new Map([[names.covered, float32([count], covered.slice())]])),
    async boundsOf(rows) {
      const { sums } = await bounds.run(some(rows));
      return rows.map((_, i) => Number(sums!.data[i]) * (1 + count * rounding.ofTerm) + slack);
    },
    async close() {
      await similarities.close();
      await bounds.close();
      await engine.remove(Object.values(names));
    },
  };
}

/** What the engine holds meanwhile. */
const names = {
  rows: 'coverage/rows',
  lengths: 'coverage/lengths',
  covered: 'coverage/covered',
  weights: 'coverage/weights',
} as const;

/** Similarities [block, count] of some rows to all; sum_i w_i max(0, similarity - covered_i) of each, [block, 1]. */
async function programs(
  engine: Engine,
  { count, size, variances }: Pick<Components, 'size' | 'variances'> & { readonly count: number },
): Promise<{ readonly similarities: Program; readonly bounds: Program }> {
  const width = variances.reduce((sum, variance) => sum + variance, 1e-12);
  const compile = (outputsOf: (b: GraphBuilder) => Readonly<Record<string, Value>>): Promise<Program> => {
    const b = new GraphBuilder('similarities');
    b.outputs(outputsOf(b));
    const graph = b.build();
    const state = graph.inputs.flatMap(({ name }) => (name === 'some' ? [] : [[name, null] as const]));
    return engine.compile(graph, { state: Object.fromEntries(state), exact: true });
  };
  const allOf = (b: GraphBuilder): Value => b.input(names.rows, 'float32', [count, size]);
  const similarIn = (b: GraphBuilder): Value => {
    const m = math(b);
    const all = allOf(b),
      some = b.input('some', 'float32', [block, size]);
    const products = b.op('Gemm', [some, all], { transB: 1 });
    const lengths = m.add(m.sum(m.square(some), [1]), b.input(names.lengths, 'float32', [count]));
    return m.exp(m.mul(m.sub(m.mul(products, 2), lengths), 1 / width));
  };
  const squares = await compile((b) => ({ lengths: math(b).sum(math(b).square(allOf(b)), [1], false) }));
  const { lengths } = await squares.run({});
  await squares.close();
  await engine.write(
    new Map([
      [names.lengths, lengths!],
      [names.covered, float32([count], new Float32Array(count))],
    ]),
  );
  return {
    similarities: await compile((b) => ({ similar: similarIn(b) })),
    bounds: await compile((b) => {
      const m = math(b);
      const more = m.max(m.sub(similarIn(b), b.input(names.covered, 'float32', [count])), 0);
      return { sums: b.op('MatMul', [more, b.input(names.weights, 'float32', [count, 1])]) };
    }),
  };
}
