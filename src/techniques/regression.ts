import type { Engine } from '../engine/engine.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { math } from '../graph/math.js';
import { float32 } from '../tensor.js';
import type { Features } from './features.js';
import { minimize, type Objective } from './lbfgs.js';

/**
 * A linear classifier on the raw (not standardised) features: logits = features * weight^T + bias.
 */
export interface LinearHead {
  /** [classes, size] */
  readonly weight: Float32Array;
  /** [classes] */
  readonly bias: Float32Array;
}

/** What a head is fitted to. */
export interface RegressionProblem {
  /** Probabilities [count, classes]; of images with known labels, one-hot. */
  readonly targets: Float32Array;
  /** How much each image counts, [count]. */
  readonly included: Float32Array;
  /** loss = mean cross-entropy + l2 / 2 * ||weight||^2, weights on standardised features. */
  readonly l2: number;
  /** Of L-BFGS at most; default 200, at which it has nearly always arrived. */
  readonly iterations?: number | undefined;
  /** As precisely as float32 allows, the same on every engine; takes some dozen passes more. Default false. */
  readonly settle?: boolean | undefined;
}

/** L2-regularised softmax regression on standardised features, by L-BFGS to its optimum. */
export interface Regression {
  /** Fits from the point `x`, which ends at the optimum. */
  fit(problem: RegressionProblem, x: Float64Array): Promise<LinearHead>;
  close(): Promise<void>;
}

/** Where a fit begins that nothing is known of. */
export const startOf = ({ size, classes }: { readonly size: number; readonly classes: number }): Float64Array =>
  new Float64Array(classes * (size + 1));

/** Labels (-1: none) as rows of probabilities [count, classes]. */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  const rows = new Float32Array(labels.length * classes);
  for (let i = 0; i < labels.length; i++) if (labels[i]! >= 0) rows[i * classes + labels[i]!] = 1;
  return rows;
}

/**
 * How much each of some images counts so that all classes count alike, in the mean 1 (-1: no label, which counts 0):
 * n / (k n_c) of the n_c of n images with labels of k classes. Without it a linear classifier on few labels hardly
 * names a class that has much fewer than another (docs/few-labels.md).
 */
export function balancedWeights(labels: ArrayLike<number>, classes: number): Float32Array {
  const counts = new Float64Array(classes);
  for (let i = 0; i < labels.length; i++) if (labels[i]! >= 0) counts[labels[i]!]!++;
  const all = counts.reduce((sum, count) => sum + count, 0),
    present = counts.filter((count) => count > 0).length;
  return Float32Array.from(labels, (label) => (label < 0 ? 0 : all / (present * counts[label]!)));
}

/**
 * Logits of the images `indexes` under a linear head, written to `out` [indexes.length, classes].
 */
export function predict(
  { features, size }: Features,
  { weight, bias }: LinearHead,
  indexes: readonly number[],
  out: Float32Array,
): Float32Array {
  indexes.forEach((index, row) => {
    for (let c = 0; c < bias.length; c++) {
      let sum = bias[c]!;
      for (let f = 0; f < size; f++) sum += features[index * size + f]! * weight[c * size + f]!;
      out[row * bias.length + c] = sum;
    }
  });
  return out;
}

/**
 * Prepares the regression as a graph on the engine; targets and which images count may change from
 * fit to fit. Features are standardised by their own moments where no others are given.
 */
export async function openRegression(
  engine: Engine,
  set: Features,
  classes: number,
  moments = momentsOf(set),
): Promise<Regression> {
  const { size } = set,
    { mean, deviation } = moments;
  const count = set.features.length / size;
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
  const write = (name: string, dims: number[], data: Float32Array): Promise<void> =>
    engine.write(new Map([[name, float32(dims, data)]]));
  await write('probe/features', [count, size], standardised);
  await write('probe/targets', [count, classes], new Float32Array(count * classes));
  const program = await engine.compile(b.build(), {
    state: { 'probe/features': null, 'probe/targets': null },
    exact: true,
  });
  return {
    async fit({ targets, included, l2: penalty, iterations, settle }, x) {
      await write('probe/targets', [count, classes], targets);
      const total = included.reduce((a, v) => a + v, 0);
      const shares = float32(
        [count],
        included.map((v) => v / total),
      );
      const objective: Objective = async (point, gradient) => {
        const outputs = await program.run({
          importance: shares,
          weight: float32([classes, size], point.subarray(0, classes * size)),
          bias: float32([classes], point.subarray(classes * size)),
          l2: float32([], [penalty]),
        });
        gradient.set(outputs['weightGradient']!.data as Float32Array);
        gradient.set(outputs['biasGradient']!.data as Float32Array, classes * size);
        return Number(outputs['loss']!.data[0]);
      };
      await minimize(objective, x, { iterations, settle });
      return unstandardise(x, moments, { size, classes });
    },
    async close() {
      await program.close();
      await engine.remove(['probe/features', 'probe/targets']);
    },
  };
}

/** What features are standardised by, [size] each. */
export interface Moments {
  readonly mean: Float64Array;
  readonly deviation: Float64Array;
}

/** Images' worth of belief that all features vary alike. */
const alike = 10;

/**
 * Variances are drawn towards their mean, the more the fewer images there are: in ten images a feature
 * after a ReLU is often silent, and would count a thousandfold in others. What this brings by the number
 * of labels: docs/few-labels.md; 3 to 1000 instead of 10 make little difference.
 */
export function momentsOf({ features, size }: Features): Moments {
  const count = features.length / size;
  const mean = new Float64Array(size),
    square = new Float64Array(size);
  for (let i = 0; i < features.length; i++) mean[i % size]! += features[i]! / count;
  for (let i = 0; i < features.length; i++) square[i % size]! += (features[i]! - mean[i % size]!) ** 2 / count;
  const common = square.reduce((sum, v) => sum + v, 0) / size;
  const variance = square.map((v) => (count * v + alike * common) / (count + alike));
  // Features that never change say nothing; dividing by 1 keeps them at zero.
  return { mean, deviation: variance.map((v) => (v < 1e-12 ? 1 : Math.sqrt(v))) };
}

/** Turns a head on standardised features into one on raw features. */
function unstandardise(
  x: Float64Array,
  { mean, deviation }: Moments,
  { size, classes }: { readonly size: number; readonly classes: number },
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
