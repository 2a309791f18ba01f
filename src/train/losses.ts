import { PupilError } from '../errors.js';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/graph.js';

/**
 * Losses as graph ops. Each takes logits [B, classes] and soft targets [B, classes] (rows of
 * probabilities, one-hot for plain labels) and gives one number a sample, [B], so that samples can
 * be weighted or masked before the mean.
 */
export type SampleLoss = (builder: GraphBuilder, logits: Value, targets: Value) => Value;

const sumClasses = (builder: GraphBuilder, x: Value): Value =>
  builder.op('ReduceSum', [x, builder.ints([1])], { keepdims: 0 });

const negativeSum = (builder: GraphBuilder, x: Value): Value => builder.op('Neg', [sumClasses(builder, x)]);

const logSoftmax = (builder: GraphBuilder, logits: Value): Value => builder.op('LogSoftmax', [logits], { axis: 1 });

/** -sum t log softmax(x), the log-softmax computed as x - max - log sum exp(x - max). */
const crossEntropy: SampleLoss = (builder, logits, targets) =>
  negativeSum(builder, builder.op('Mul', [targets, logSoftmax(builder, logits)]));

/** Mean over classes of log(1 + exp(x)) - x t: every class its own yes or no. */
const binaryCrossEntropy: SampleLoss = (builder, logits, targets) =>
  meanClasses(builder, builder.op('Sub', [builder.op('Softplus', [logits]), builder.op('Mul', [logits, targets])]));

const meanClasses = (builder: GraphBuilder, x: Value): Value =>
  builder.op('ReduceMean', [x], { axes: [1], keepdims: 0 });

const squaredDifference = (builder: GraphBuilder, a: Value, b: Value): Value => {
  const difference = builder.op('Sub', [a, b]);
  return builder.op('Mul', [difference, difference]);
};

/** Mean over classes of (x - t)^2, on the logits themselves. */
const meanSquaredError: SampleLoss = (builder, logits, targets) =>
  meanClasses(builder, squaredDifference(builder, logits, targets));

/** Sum over classes of (softmax(x) - t)^2: bounded, so wrong labels cost less (Brier 1950). */
const brier: SampleLoss = (builder, logits, targets) =>
  sumClasses(builder, squaredDifference(builder, builder.op('Softmax', [logits], { axis: 1 }), targets));

/**
 * Sum of t (log t - log softmax(x)): cross-entropy less the targets' own entropy, zero when they
 * agree.
 */
const divergence: SampleLoss = (builder, logits, targets) => {
  // t log t is 0 at t = 0: the smallest normal float keeps the logarithm finite there.
  const log = builder.op('Log', [builder.op('Max', [targets, builder.scalar(1.1754944e-38)])]);
  return sumClasses(builder, builder.op('Mul', [targets, builder.op('Sub', [log, logSoftmax(builder, logits)])]));
};

/** -sum t (1 - p)^2 log p: well-classified samples weigh less (Lin et al. 2017, gamma = 2). */
const focal: SampleLoss = (builder, logits, targets) => {
  const log = logSoftmax(builder, logits);
  const rest = builder.op('Sub', [builder.scalar(1), builder.op('Exp', [log])]);
  const weight = builder.op('Mul', [targets, builder.op('Mul', [rest, rest])]);
  return negativeSum(builder, builder.op('Mul', [weight, log]));
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
export function smoothTargets(builder: GraphBuilder, targets: Value, amount: number): Value {
  if (!(amount >= 0 && amount < 1)) {
    throw new PupilError('usage', `label smoothing ${amount}: give a number from 0 to below 1, such as 0.1`);
  }
  if (amount === 0) return targets;
  const classes = targets.shape[1] as number;
  return builder.op('Add', [builder.op('Mul', [targets, 1 - amount]), amount / classes]);
}

/**
 * The weighted sum of named losses, [B]. Throws `usage` for an unknown name, a weight that is not a
 * number, or none.
 */
export function mixedLoss(builder: GraphBuilder, logits: Value, targets: Value, mix: LossMix): Value {
  let total: Value | undefined;
  for (const [name, weight] of Object.entries(mix)) {
    const loss = Object.hasOwn(table, name) ? table[name as LossName] : undefined;
    if (!loss)
      throw new PupilError('usage', `loss ${JSON.stringify(name)}: unknown; give one of ${lossNames.join(', ')}`);
    if (!Number.isFinite(weight)) throw new PupilError('usage', `loss ${name}: weight ${weight}; give a number`);
    if (weight === 0) continue;
    const value = builder.scope(name, () => loss(builder, logits, targets));
    const scaled = weight === 1 ? value : builder.op('Mul', [value, weight]);
    total = total ? builder.op('Add', [total, scaled]) : scaled;
  }
  if (!total) throw new PupilError('usage', 'no loss with a weight other than 0; give one, such as cross-entropy');
  return total;
}

/**
 * T^2 KL(softmax(teacher / T) || softmax(student / T)), [B] (Hinton et al. 2015). The factor keeps
 * gradients of equal size for every temperature. `temperature` may be a scalar value, to ramp it
 * without compiling again.
 */
export function distillationLoss(
  builder: GraphBuilder,
  student: Value,
  teacher: Value,
  temperature: Value | number,
): Value {
  return builder.scope('distillation', () => {
    const t = typeof temperature === 'number' ? builder.scalar(temperature) : temperature;
    const soft = (logits: Value): Value => logSoftmax(builder, builder.op('Div', [logits, t]));
    const target = soft(teacher);
    const difference = builder.op('Sub', [target, soft(student)]);
    const sum = sumClasses(builder, builder.op('Mul', [builder.op('Exp', [target]), difference]));
    return builder.op('Mul', [sum, builder.op('Mul', [t, t])]);
  });
}

/**
 * Knowledge distillation on images with and without labels in one batch, [B]: with a label alpha
 * T^2 KL(p_T || q_T) + (1 - alpha) CE at T = 1, without one (a row of zeros in `targets`) T^2 KL
 * alone. A row that is mixed of both kinds counts in between.
 */
export function teacherAndLabels(
  builder: GraphBuilder,
  student: Value,
  teacher: Value,
  targets: Value,
  { temperature, alpha }: { readonly temperature: number; readonly alpha: number },
): Value {
  const taught = distillationLoss(builder, student, teacher, temperature);
  if (alpha === 1) return taught;
  const share = builder.op('Sub', [builder.scalar(1), builder.op('Mul', [sumClasses(builder, targets), 1 - alpha])]);
  const own = crossEntropy(builder, student, targets);
  return builder.op('Add', [builder.op('Mul', [taught, share]), builder.op('Mul', [own, 1 - alpha])]);
}

/** The mean over the batch of a value [B], a scalar. */
export const batchMean = (builder: GraphBuilder, perSample: Value): Value =>
  builder.op('ReduceMean', [perSample], { axes: [0], keepdims: 0 });

/** How many samples' largest logit is at their largest target, a float32 scalar. */
export function correctCount(builder: GraphBuilder, logits: Value, targets: Value): Value {
  return builder.scope('correct', () => {
    const best = (x: Value): Value => builder.op('ArgMax', [x], { axis: 1, keepdims: 0 });
    const equal = builder.op('Cast', [builder.op('Equal', [best(logits), best(targets)])], { to: 1 });
    return builder.op('ReduceSum', [equal, builder.ints([0])], { keepdims: 0 });
  });
}
