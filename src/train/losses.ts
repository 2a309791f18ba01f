import { PupilError } from '../errors.js';
import type { Value } from '../graph/graph.js';
import type { GraphMath } from '../graph/math.js';

/**
 * Losses as formulas. Each takes logits [B, classes] and soft targets [B, classes] (rows of
 * probabilities, one-hot for plain labels) and gives one number a sample, [B], so that samples can
 * be weighted or masked before the mean.
 */
export type SampleLoss = (m: GraphMath, logits: Value, targets: Value) => Value;

/** -sum t log softmax(x), the log-softmax computed as x - max - log sum exp(x - max). */
export const crossEntropy: SampleLoss = (m, logits, targets) =>
  m.neg(m.sumClasses(m.mul(targets, m.logSoftmax(logits))));

/** Mean over classes of log(1 + exp(x)) - x t: every class its own yes or no. */
const binaryCrossEntropy: SampleLoss = (m, logits, targets) =>
  m.meanClasses(m.sub(m.softplus(logits), m.mul(logits, targets)));

/** Mean over classes of (x - t)^2, on the logits themselves. */
const meanSquaredError: SampleLoss = (m, logits, targets) => m.meanClasses(m.square(m.sub(logits, targets)));

/** Sum over classes of (softmax(x) - t)^2: bounded, so wrong labels cost less (Brier 1950). */
const brier: SampleLoss = (m, logits, targets) => m.sumClasses(m.square(m.sub(m.softmax(logits), targets)));

/**
 * Sum of t (log t - log softmax(x)): cross-entropy less the targets' own entropy, zero when they
 * agree.
 */
const divergence: SampleLoss = (m, logits, targets) => {
  // t log t is 0 at t = 0: the smallest normal float keeps the logarithm finite there.
  const log = m.log(m.max(targets, 1.1754944e-38));
  return m.sumClasses(m.mul(targets, m.sub(log, m.logSoftmax(logits))));
};

/** -sum t (1 - p)^2 log p: well-classified samples weigh less (Lin et al. 2017, gamma = 2). */
const focal: SampleLoss = (m, logits, targets) => {
  const log = m.logSoftmax(logits);
  const weight = m.mul(targets, m.square(m.sub(1, m.exp(log))));
  return m.neg(m.sumClasses(m.mul(weight, log)));
};

const table = {
  'cross-entropy': crossEntropy,
  'binary-cross-entropy': binaryCrossEntropy,
  'mean-squared-error': meanSquaredError,
  brier,
  'kl-divergence': divergence,
  focal,
} satisfies Record<string, SampleLoss>;

export type LossName = keyof typeof table;

/** Weights of losses by name: `{ 'cross-entropy': 1 }`. */
export type LossMix = Readonly<Partial<Record<LossName, number>>>;

/** The names that `mixedLoss` knows. */
export const lossNames = Object.keys(table) as LossName[];

/** Targets moved towards uniform: (1 - amount) t + amount / classes (Szegedy et al. 2016). */
export function smoothTargets(m: GraphMath, targets: Value, amount: number): Value {
  if (!(amount >= 0 && amount < 1)) {
    throw new PupilError('usage', `label smoothing ${amount}: give a number from 0 to below 1, such as 0.1`, {
      option: 'labelSmoothing',
    });
  }
  if (amount === 0) return targets;
  const classes = targets.shape[1] as number;
  return m.add(m.mul(targets, 1 - amount), amount / classes);
}

/**
 * The weighted sum of named losses, [B]. Throws `usage` for an unknown name, a weight that is not a
 * number, or none.
 */
export function mixedLoss(m: GraphMath, logits: Value, targets: Value, mix: LossMix): Value {
  let total: Value | undefined;
  for (const [name, weight] of Object.entries(mix)) {
    const loss = Object.hasOwn(table, name) ? table[name as LossName] : undefined;
    if (!loss)
      throw new PupilError('usage', `loss ${JSON.stringify(name)}: unknown; give one of ${lossNames.join(', ')}`);
    if (!Number.isFinite(weight)) throw new PupilError('usage', `loss ${name}: weight ${weight}; give a number`);
    if (weight === 0) continue;
    const value = m.scope(name, () => loss(m, logits, targets));
    const scaled = weight === 1 ? value : m.mul(value, weight);
    total = total ? m.add(total, scaled) : scaled;
  }
  if (!total) throw new PupilError('usage', 'no loss with a weight other than 0; give one, such as cross-entropy');
  return total;
}

/**
 * T^2 KL(softmax(teacher / T) || softmax(student / T)), [B] (Hinton et al. 2015). The factor keeps
 * gradients of equal size for every temperature. `temperature` may be a scalar value, to ramp it
 * without compiling again.
 */
export function distillationLoss(m: GraphMath, student: Value, teacher: Value, temperature: Value | number): Value {
  return m.scope('distillation', () => {
    const t = typeof temperature === 'number' ? m.builder.scalar(temperature) : temperature;
    const logP = m.logSoftmax(m.div(teacher, t)),
      logQ = m.logSoftmax(m.div(student, t));
    const difference = m.sub(logP, logQ);
    return m.mul(m.sumClasses(m.mul(m.exp(logP), difference)), m.mul(t, t));
  });
}

/**
 * Knowledge distillation on images with and without labels in one batch, [B]: with a label alpha
 * T^2 KL(p_T || q_T) + (1 - alpha) CE at T = 1, without one (a row of zeros in `targets`) T^2 KL
 * alone. A row that is mixed of both kinds counts in between.
 */
export function teacherAndLabels(
  m: GraphMath,
  student: Value,
  teacher: Value,
  targets: Value,
  { temperature, alpha }: { readonly temperature: number; readonly alpha: number },
): Value {
  const taught = distillationLoss(m, student, teacher, temperature);
  if (alpha === 1) return taught;
  const share = m.sub(1, m.mul(m.sumClasses(targets), 1 - alpha));
  const own = crossEntropy(m, student, targets);
  return m.add(m.mul(taught, share), m.mul(own, 1 - alpha));
}

/** How many samples' largest logit is at their largest target, a float32 scalar. */
export const correctCount = (m: GraphMath, logits: Value, targets: Value): Value =>
  m.scope('correct', () => m.sumBatch(m.toFloat(m.builder.op('Equal', [m.argmax(logits), m.argmax(targets)]))));
