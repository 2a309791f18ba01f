import type { Engine } from '../engine/engine.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { math } from '../graph/math.js';
import { crossEntropy } from '../evaluate/metrics.js';
import { float32, type Tensor } from '../tensor.js';
import { minimize } from './lbfgs.js';

/**
 * Transfer learning, first approach: the backbone is frozen and only the head is trained. A linear
 * head on fixed features is a convex problem, so it is solved to its optimum (L2-regularised
 * softmax regression on standardised features, by L-BFGS) rather than trained for a handful of
 * epochs. The strength of the penalty is chosen on held-out labels.
 */

/** Features [count, size] and integer labels of the same images. */
export interface FeatureSet {
  readonly features: Float32Array;
  readonly size: number;
  readonly labels: ArrayLike<number>;
  readonly classes: number;
}

/**
 * A linear classifier on the raw (not standardised) features: logits = features * weight^T + bias.
 */
export interface LinearHead {
  /** [classes, size] */
  readonly weight: Float32Array;
  /** [classes] */
  readonly bias: Float32Array;
}

export interface ProbeResult {
  readonly head: LinearHead;
  /**
   * The chosen penalty: loss = mean cross-entropy + l2 / 2 * ||weight||^2, weights on standardised
   * features.
   */
  readonly l2: number;
  /**
   * Logits of every image by a head that was not fitted on it, when it was held out: [count,
   * classes] and its images.
   */
  readonly heldOut: { readonly logits: Float32Array; readonly indexes: readonly number[] };
  /** The head that each fold was predicted with. */
  readonly foldHeads: readonly LinearHead[];
}

/** Penalties that are tried, from strong to weak, each fit starting where the one before ended. */
const penalties = [1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4];

/** The penalty that is taken when there is nothing to choose it on: 0.1. */
const unselected = 2;

/**
 * Fits the head. `folds` lists the held-out image indexes of each fold (one fold: a plain
 * hold-out); the penalty with the lowest held-out cross-entropy is chosen (a middling one without
 * folds) and the head is fitted again on the images `refit`.
 */
export async function fitProbe(
  engine: Engine,
  set: FeatureSet,
  folds: readonly (readonly number[])[],
  refit: readonly number[],
): Promise<ProbeResult> {
  const count = set.labels.length;
  const { mean, deviation } = moments(set);
  const problem = await compile(engine, set, mean, deviation);
  try {
    const indexes = folds.flat();
    const heldOut = penalties.map(() => new Float32Array(indexes.length * set.classes));
    let offset = 0;
    const heads: LinearHead[][] = [];
    for (const fold of folds) {
      const included = new Float32Array(count).fill(1);
      for (const index of fold) included[index] = 0;
      const x = new Float64Array(set.classes * (set.size + 1));
      const path: LinearHead[] = [];
      for (const [p, l2] of penalties.entries()) {
        await problem.fit(x, included, l2);
        path.push(unstandardise(x, set, mean, deviation));
        predict(set, path[p]!, fold, heldOut[p]!.subarray(offset * set.classes));
      }
      heads.push(path);
      offset += fold.length;
    }
    const labels = indexes.map((index) => set.labels[index]!);
    const losses = heldOut.map((logits) => crossEntropy(logits, labels, set.classes));
    const best = folds.length === 0 ? unselected : losses.indexOf(Math.min(...losses));
    const everything = new Float32Array(count);
    for (const index of refit) everything[index] = 1;
    const x = new Float64Array(set.classes * (set.size + 1));
    for (const l2 of penalties.slice(0, best + 1)) await problem.fit(x, everything, l2);
    return {
      head: unstandardise(x, set, mean, deviation),
      l2: penalties[best]!,
      heldOut: { logits: heldOut[best]!, indexes },
      foldHeads: heads.map((path) => path[best]!),
    };
  } finally {
    await problem.close();
  }
}

/**
 * Logits of the images `indexes` under a linear head, written to `out` [indexes.length, classes].
 */
export function predict(
  set: FeatureSet,
  head: LinearHead,
  indexes: readonly number[],
  out: Float32Array,
): Float32Array {
  indexes.forEach((index, row) => {
    for (let c = 0; c < set.classes; c++) {
      let sum = head.bias[c]!;
      for (let f = 0; f < set.size; f++) sum += set.features[index * set.size + f]! * head.weight[c * set.size + f]!;
      out[row * set.classes + c] = sum;
    }
  });
  return out;
}

function moments({ features, size, labels }: FeatureSet): { mean: Float64Array; deviation: Float64Array } {
  const count = labels.length;
  const mean = new Float64Array(size),
    square = new Float64Array(size);
  for (let i = 0; i < features.length; i++) mean[i % size]! += features[i]! / count;
  for (let i = 0; i < features.length; i++) square[i % size]! += (features[i]! - mean[i % size]!) ** 2 / count;
  // A feature that never changes says nothing; dividing by 1 keeps it at zero.
  return { mean, deviation: square.map((v) => (v < 1e-12 ? 1 : Math.sqrt(v))) };
}

/** Turns a head on standardised features into one on raw features. */
function unstandardise(
  x: Float64Array,
  { size, classes }: FeatureSet,
  mean: Float64Array,
  deviation: Float64Array,
): LinearHead {
  const weight = new Float32Array(classes * size),
    bias = new Float32Array(classes);
  for (let c = 0; c < classes; c++) {
    let shift = x[classes * size + c]!;
    for (let f = 0; f < size; f++) {
      const w = x[c * size + f]! / deviation[f]!;
      weight[c * size + f] = w;
      shift -= w * mean[f]!;
    }
    bias[c] = shift;
  }
  return { weight, bias };
}

/**
 * The regression as a graph on the engine; which images count is an input, so one program serves
 * every fold.
 */
async function compile(
  engine: Engine,
  set: FeatureSet,
  mean: Float64Array,
  deviation: Float64Array,
): Promise<{
  fit(x: Float64Array, included: Float32Array, l2: number): Promise<void>;
  close(): Promise<void>;
}> {
  const { size, classes } = set;
  const count = set.labels.length;
  const b = new GraphBuilder('softmax regression');
  const features = b.input('probe/features', 'float32', [count, size]);
  const targets = b.input('probe/targets', 'float32', [count, classes]);
  const importance = b.input('importance', 'float32', [count]);
  const weight = b.input('weight', 'float32', [classes, size]);
  const bias = b.input('bias', 'float32', [classes]);
  const l2 = b.input('l2', 'float32', []);
  // loss = sum_i importance_i * CE_i + l2 / 2 * ||W||^2, the importances summing to one
  const m = math(b);
  const logits = b.op('Gemm', [features, weight, bias], { transB: 1 });
  const perImage = m.sumClasses(m.mul(targets, m.logSoftmax(logits)));
  const data = m.sumBatch(m.mul(perImage, importance));
  const norm = m.sum(m.square(weight), [0, 1], false);
  const loss = m.sub(m.mul(m.mul(norm, l2), 0.5), data);
  const [weightGradient, biasGradient] = differentiate(b, loss, [weight, bias]);
  b.outputs({ loss, weightGradient: weightGradient!, biasGradient: biasGradient! });

  const standardised = set.features.map((v, i) => (v - mean[i % size]!) / deviation[i % size]!);
  const oneHot = new Float32Array(count * classes);
  for (let i = 0; i < count; i++) oneHot[i * classes + set.labels[i]!] = 1;
  await engine.write(
    new Map<string, Tensor>([
      ['probe/features', float32([count, size], standardised)],
      ['probe/targets', float32([count, classes], oneHot)],
    ]),
  );
  const program = await engine.compile(b.build(), {
    state: { 'probe/features': null, 'probe/targets': null },
    exact: true,
  });
  return {
    async fit(x, included, penalty) {
      const total = included.reduce((a, v) => a + v, 0);
      const shares = float32(
        [count],
        included.map((v) => v / total),
      );
      await minimize(async (point, gradient) => {
        const outputs = await program.run({
          importance: shares,
          weight: float32([classes, size], point.subarray(0, classes * size)),
          bias: float32([classes], point.subarray(classes * size)),
          l2: float32([], [penalty]),
        });
        gradient.set(outputs['weightGradient']!.data as Float32Array);
        gradient.set(outputs['biasGradient']!.data as Float32Array, classes * size);
        return Number(outputs['loss']!.data[0]);
      }, x);
    },
    async close() {
      await program.close();
      await engine.remove(['probe/features', 'probe/targets']);
    },
  };
}
