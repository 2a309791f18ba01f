import type { Engine, Program } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Value } from '../../graph/graph.js';
import { math } from '../../graph/math.js';
import { float32, type Tensor } from '../../tensor.js';
import { oneHot, type LinearHead } from '../regression.js';
import type { Components } from './components.js';
import { cholesky, solveLower, solveUpper, times, transpose } from './matrices.js';
import { withKnown } from './propagation.js';

/** Share of the covariance that is replaced by its mean variance. */
const shrinkage = 0.1;
/** Where all images of a class are alike: the least variance, as a share of the mean over all images. */
const least = 1e-4;

export interface MixtureSettings {
  /** How far shares of classes go from equal ones, 0, to those found, 1. */
  readonly found: number;
  /** Images without a label that one with a label counts as much as, in the means that classify. */
  readonly labelled: number;
}

const usual: MixtureSettings = { found: 0.5, labelled: 2 };
const iterations = 12;

export interface Mixture {
  /** Class probabilities [count, classes] by a linear classifier on the components. */
  classify(head: LinearHead): Promise<Float32Array>;
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
 * In the means that classify, an image with a label counts double (the EM-lambda of Nigam et al. 2000):
 * there are as many of a rare class as of others, so that it is not carried away by these.
 *
 * Principal components have a diagonal total covariance L, so the one within classes is
 * L - sum_c n_c / n m_c m_c', and its inverse costs d * classes^2 (Woodbury): an iteration is two
 * products of all rows with the classes, which run on the engine.
 */
export async function openMixture(
  engine: Engine,
  components: Components,
  classes: number,
  settings = usual,
): Promise<Mixture> {
  const { scores, size, variances } = components;
  const count = scores.length / size;
  await engine.write(new Map([['mixture/scores', float32([count, size], scores)]]));
  await certain(new Int32Array(count).fill(-1));
  const { first, classify, step, last } = await programs(engine, count, size, classes);
  /** Tells the engine which rows are certain. */
  async function certain(known: ArrayLike<number>): Promise<void> {
    const free = Float32Array.from(known, (label) => (label < 0 ? 1 : 0));
    await engine.write(
      new Map([
        ['mixture/certain', float32([count, classes], oneHot(known, classes))],
        ['mixture/free', float32([count, 1], free)],
      ]),
    );
  }
  const sharesBy = async (program: Program, weights: Float32Array, bias: Float32Array): Promise<Float32Array> => {
    const outputs = await program.run({ weights: float32([classes, size], weights), bias: float32([classes], bias) });
    return outputs['shares']!.data as Float32Array;
  };
  return {
    classify: ({ weight, bias }) => sharesBy(classify, weight, bias),
    async fit(guess, known, dimensions) {
      await certain(known);
      const more = labelledSums(components, known, classes);
      let now = await first.run({ given: float32([count, classes], withKnown(guess, known, classes)) });
      for (let iteration = 1; ; iteration++) {
        const { weights, bias } = maximise(now, { count, size, classes, variances, dimensions, more, ...settings });
        if (iteration === iterations) return sharesBy(last, weights, bias);
        now = await step.run({ weights: float32([classes, size], weights), bias: float32([classes], bias) });
      }
    },
    async close() {
      for (const program of [first, classify, step, last]) await program.close();
      await engine.remove(['mixture/scores', 'mixture/certain', 'mixture/free']);
    },
  };
}

interface Problem extends MixtureSettings {
  readonly count: number;
  readonly size: number;
  readonly classes: number;
  readonly variances: Float64Array;
  readonly dimensions: number;
  /** Of the labelled rows. */
  readonly more: Sums;
}

/** Of rows weighted by their shares of a class: their sums [classes, size], and how many they are. */
interface Sums {
  readonly sums: Float32Array;
  readonly totals: Float32Array;
}

function labelledSums({ scores, size }: Components, known: ArrayLike<number>, classes: number): Sums {
  const sums = new Float32Array(classes * size),
    totals = new Float32Array(classes);
  for (let row = 0; row < known.length; row++) {
    const label = known[row]!;
    if (label < 0) continue;
    totals[label]!++;
    for (let i = 0; i < size; i++) sums[label * size + i]! += scores[row * size + i]!;
  }
  return { sums, totals };
}

/**
 * The classifier of the Gaussians that the sums say: logits = x W' + b. Components after `dimensions`
 * have no weight.
 */
function maximise(
  outputs: Record<string, Tensor>,
  { count, size, classes, variances, dimensions: d, more, found, labelled }: Problem,
): { weights: Float32Array; bias: Float32Array } {
  const sums = outputs['sums']!.data as Float32Array,
    totals = Array.from(outputs['totals']!.data as Float32Array, (n) => n + 1e-6);
  // [classes, d]: of all rows, and with those of labelled ones counted more often, which classify.
  const means = new Float64Array(classes * d),
    centres = new Float64Array(classes * d);
  for (let c = 0; c < classes; c++)
    for (let i = 0; i < d; i++) {
      const at = c * size + i;
      means[c * d + i] = sums[at]! / totals[c]!;
      centres[c * d + i] =
        (sums[at]! + (labelled - 1) * more.sums[at]!) / (totals[c]! + (labelled - 1) * more.totals[c]!);
    }
  const total = variances.subarray(0, d).reduce((sum, variance) => sum + variance, 0);
  let trace = total;
  for (let i = 0; i < d; i++)
    for (let c = 0; c < classes; c++) trace -= (totals[c]! / count) * means[c * d + i]! * means[c * d + i]!;
  const keep = 1 - shrinkage,
    floor = Math.max((shrinkage * trace) / d, (least * total) / d, 1e-12);
  // (D - M' A^-1 M)^-1 C' = D^-1 C' + D^-1 M' (A - M D^-1 M')^-1 M D^-1 C', with D and A = N^-1 / keep diagonal.
  const perVariance = (rows: Float64Array): Float64Array =>
    rows.map((value, at) => value / (keep * variances[at % d]! + floor));
  const scaled = perVariance(means),
    direct = perVariance(centres);
  const inner = times(means, transpose(scaled, d), d).map((value) => -value);
  for (let c = 0; c < classes; c++) inner[c * (classes + 1)]! += count / totals[c]! / keep;
  const root = cholesky(inner, classes);
  const solved = solveUpper(root, solveLower(root, scaled, classes), classes);
  const through = times(times(direct, transpose(means, d), d), solved, classes);
  const weights = new Float32Array(classes * size),
    bias = new Float32Array(classes);
  for (let c = 0; c < classes; c++) {
    let energy = 0;
    for (let i = 0; i < d; i++) {
      const direction = direct[c * d + i]! + through[c * d + i]!;
      weights[c * size + i] = direction;
      energy += direction * centres[c * d + i]!;
    }
    bias[c] = Math.log(found * (totals[c]! / count) + (1 - found) / classes) - energy / 2;
  }
  return { weights, bias };
}

/** What runs on all rows: shares of the classes, and sums over rows that are weighted by them. */
async function programs(engine: Engine, count: number, size: number, classes: number) {
  const compile = (outputsOf: (b: GraphBuilder, scores: Value) => Readonly<Record<string, Value>>) => {
    const b = new GraphBuilder('mixture');
    b.outputs(outputsOf(b, b.input('mixture/scores', 'float32', [count, size])));
    const graph = b.build();
    const state = graph.inputs.flatMap(({ name }) => (name.startsWith('mixture/') ? [[name, null] as const] : []));
    return engine.compile(graph, { state: Object.fromEntries(state), exact: true });
  };
  const byClassifier = (b: GraphBuilder, scores: Value): Value => {
    const weights = b.input('weights', 'float32', [classes, size]),
      bias = b.input('bias', 'float32', [classes]);
    return math(b).softmax(b.op('Gemm', [scores, weights, bias], { transB: 1 }));
  };
  const clamped = (b: GraphBuilder, scores: Value): Value => {
    const m = math(b);
    const free = m.mul(byClassifier(b, scores), b.input('mixture/free', 'float32', [count, 1]));
    return m.add(free, b.input('mixture/certain', 'float32', [count, classes]));
  };
  const sumsOf = (b: GraphBuilder, shares: Value, scores: Value): Readonly<Record<string, Value>> => ({
    totals: math(b).sum(shares, [0], false),
    sums: b.op('Gemm', [shares, scores], { transA: 1 }),
  });
  return {
    first: await compile((b, scores) => sumsOf(b, b.input('given', 'float32', [count, classes]), scores)),
    classify: await compile((b, scores) => ({ shares: byClassifier(b, scores) })),
    step: await compile((b, scores) => sumsOf(b, clamped(b, scores), scores)),
    last: await compile((b, scores) => ({ shares: clamped(b, scores) })),
  };
}
