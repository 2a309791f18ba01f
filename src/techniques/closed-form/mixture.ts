import { inverse, Matrix } from 'ml-matrix';
import type { Engine } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Value } from '../../graph/graph.js';
import { math } from '../../graph/math.js';
import { float32, type Tensor } from '../../tensor.js';
import type { Components } from './components.js';
import { oneHot } from '../regression.js';
import { withKnown } from './propagation.js';

/** Share of the covariance that is replaced by its mean variance. */
const shrinkage = 0.1;
const iterations = 12;

export interface Mixture {
  /**
   * Class probabilities [count, classes] by the first `dimensions` components, from a first guess;
   * rows of `known` (not -1) stay what they are.
   */
  fit(guess: Float32Array, known: ArrayLike<number>, dimensions: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * A mixture of one Gaussian a class with one covariance for all, fitted by expectation and
 * maximisation on all rows, labelled ones being certain (linear discriminant analysis, with the
 * unlabelled rows; Hinton's "soft" k-means with a metric). Shares of classes are half-way between
 * those found and equal ones, so that a mistaken balance does little harm.
 *
 * Principal components have a diagonal total covariance L, so the one within classes is
 * L - sum_c n_c / n m_c m_c', and its inverse costs d * classes^2 (Woodbury): an iteration is two
 * products of all rows with the classes, which run on the engine.
 */
export async function openMixture(engine: Engine, components: Components, classes: number): Promise<Mixture> {
  const { scores, size, variances } = components;
  const count = scores.length / size;
  await engine.write(new Map([['mixture/scores', float32([count, size], scores)]]));
  const { first, step } = await programs(engine, count, size, classes);
  return {
    async fit(guess, known, dimensions) {
      const certain = float32([count, classes], oneHot(known, classes)),
        free = float32(
          [count, 1],
          Float32Array.from(known, (label) => (label < 0 ? 1 : 0)),
        );
      let now = await first.run({ given: float32([count, classes], withKnown(guess, known, classes)) });
      for (let iteration = 0; iteration < iterations; iteration++) {
        const { weights, bias } = maximise(now, { count, size, classes, variances, dimensions });
        now = await step.run({
          weights: float32([size, classes], weights),
          bias: float32([classes], bias),
          certain,
          free,
        });
      }
      return now['shares']!.data as Float32Array;
    },
    async close() {
      await first.close();
      await step.close();
      await engine.remove(['mixture/scores']);
    },
  };
}

interface Problem {
  readonly count: number;
  readonly size: number;
  readonly classes: number;
  readonly variances: Float64Array;
  readonly dimensions: number;
}

/**
 * The classifier of the Gaussians that the sums say: logits = x W + b. Components after `dimensions`
 * have no weight.
 */
function maximise(
  outputs: Record<string, Tensor>,
  { count, size, classes, variances, dimensions: d }: Problem,
): { weights: Float32Array; bias: Float32Array } {
  const sums = outputs['sums']!.data as Float32Array,
    totals = Array.from(outputs['totals']!.data as Float32Array, (n) => n + 1e-6);
  // [classes, d]
  const means = new Matrix(classes, d);
  for (let c = 0; c < classes; c++) for (let i = 0; i < d; i++) means.set(c, i, sums[c * size + i]! / totals[c]!);
  let trace = 0;
  for (let i = 0; i < d; i++) {
    trace += variances[i]!;
    for (let c = 0; c < classes; c++) trace -= (totals[c]! / count) * means.get(c, i) ** 2;
  }
  const keep = 1 - shrinkage,
    floor = Math.max((shrinkage * trace) / d, 1e-12);
  // (D - keep M' N M)^-1 M', with D diagonal: scaled + scaled (N^-1 / keep - M D^-1 M')^-1 M D^-1 M'
  const scaled = new Matrix(classes, d);
  for (let c = 0; c < classes; c++)
    for (let i = 0; i < d; i++) scaled.set(c, i, means.get(c, i) / (keep * variances[i]! + floor));
  const overlap = means.mmul(scaled.transpose());
  const inner = Matrix.diag(totals.map((n) => count / n / keep)).sub(overlap);
  const directions = Matrix.add(scaled, overlap.mmul(inverse(inner)).mmul(scaled));
  const weights = new Float32Array(size * classes),
    bias = new Float32Array(classes);
  for (let c = 0; c < classes; c++) {
    let energy = 0;
    for (let i = 0; i < d; i++) {
      weights[i * classes + c] = directions.get(c, i);
      energy += directions.get(c, i) * means.get(c, i);
    }
    bias[c] = Math.log((totals[c]! / count + 1 / classes) / 2) - energy / 2;
  }
  return { weights, bias };
}

/** Sums over rows weighted by shares of the classes: of given ones, and of those a classifier gives. */
async function programs(engine: Engine, count: number, size: number, classes: number) {
  const compile = (sharesOf: (b: GraphBuilder, scores: Value) => Value) => {
    const b = new GraphBuilder('mixture');
    const scores = b.input('mixture/scores', 'float32', [count, size]);
    const shares = sharesOf(b, scores);
    b.outputs({
      shares,
      totals: math(b).sum(shares, [0], false),
      sums: b.op('Gemm', [shares, scores], { transA: 1 }),
    });
    return engine.compile(b.build(), { state: { 'mixture/scores': null }, exact: true });
  };
  return {
    first: await compile((b) => b.op('Identity', [b.input('given', 'float32', [count, classes])])),
    step: await compile((b, scores) => {
      const m = math(b);
      const logits = b.op('Gemm', [
        scores,
        b.input('weights', 'float32', [size, classes]),
        b.input('bias', 'float32', [classes]),
      ]);
      const free = m.mul(m.softmax(logits), b.input('free', 'float32', [count, 1]));
      return m.add(free, b.input('certain', 'float32', [count, classes]));
    }),
  };
}
