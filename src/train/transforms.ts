import { staticDims, type Value } from '../graph/graph.js';
import type { GraphMath } from '../graph/math.js';
import { invariant, PupilError } from '../errors.js';
import { zeros, type Tensor } from '../tensor.js';

/**
 * Optimizers as transforms that chain (after optax): each takes one update a parameter, beginning
 * with the gradients, and returns another. What they remember between steps are named slots of the
 * state, `NAME@momentum` beside the parameter `NAME`; what changes with the step alone (a bias
 * correction, the learning rate) is a scalar input that the training loop computes.
 */

/** A parameter that is trained. */
export interface Trainable {
  readonly name: string;
  /** Its value before the step. */
  readonly value: Value;
  /** Its parameter group, which has a learning rate of its own. */
  readonly group: string;
  /** Strength of weight decay; 0 for none. */
  readonly weightDecay: number;
}

/** Where a run is: everything that scalar inputs and masks are computed from. */
export interface StepPosition {
  /** Optimizer steps done before this one: 0 at the first. */
  readonly step: number;
  /** Micro-batches done in this step (gradient accumulation). */
  readonly microStep: number;
  /** Base learning rate, the schedule's factor applied. */
  readonly learningRate: number;
  /** Optimizer steps of the whole training (of its phase), as far as they are known: for ramps. */
  readonly total: number;
}

/** Computes a scalar input from the position alone, so that a resumed run feeds the same bits. */
export type ScalarRule = (position: StepPosition) => number;

export interface TransformContext {
  readonly math: GraphMath;
  readonly parameters: readonly Trainable[];
  /** Declares a scalar input computed from the position; the same name gives the same input. */
  scalar(name: string, rule: ScalarRule): Value;
  /**
   * The slot `NAME@slot` of a parameter, as the previous step left it; at first zeros, or the
   * parameter itself.
   */
  slot(parameter: Slotted, slot: string, initial?: 'zeros' | 'parameter'): Value;
  /** Sets what a slot holds after the step. */
  keep(parameter: Slotted, slot: string, value: Value): void;
}

type Slotted = Pick<Trainable, 'name' | 'value'>;

/** One value a parameter, by parameter name: gradients, updates, weights. */
export type Updates = ReadonlyMap<string, Value>;

export type Transform = (updates: Updates, context: TransformContext) => Updates;

/** Applies transforms in order. */
export const chain =
  (...transforms: readonly Transform[]): Transform =>
  (updates, context) =>
    transforms.reduce((current, transform) => transform(current, context), updates);

function updateOf(updates: Updates, { name }: Trainable): Value {
  const update = updates.get(name);
  invariant(update, `no update for ${name}`);
  return update;
}

/** Maps every update by itself. */
function each(map: (update: Value, parameter: Trainable, context: TransformContext) => Value): Transform {
  return (updates, context) =>
    new Map(
      context.parameters.map((parameter) => {
        const update = updateOf(updates, parameter);
        return [parameter.name, context.math.scope(parameter.name, () => map(update, parameter, context))];
      }),
    );
}

/**
 * Adds weightDecay * parameter: L2 regularisation before a momentum, decoupled decay after Adam's
 * scaling.
 */
export const addWeightDecay = (): Transform =>
  each((update, { value, weightDecay }, { math: m }) =>
    weightDecay === 0 ? update : m.add(update, m.mul(value, weightDecay)),
  );

/**
 * m = momentum m + g, update m; with Nesterov g + momentum m (Sutskever et al. 2013, as PyTorch's
 * SGD has it, no dampening). Slot `momentum`.
 */
export const momentum = (options: { momentum: number; nesterov?: boolean }): Transform =>
  each((update, parameter, context) => {
    const { math: m } = context;
    const decayed = (x: Value): Value => m.mul(x, options.momentum);
    const next = m.add(decayed(context.slot(parameter, 'momentum')), update);
    context.keep(parameter, 'momentum', next);
    return options.nesterov ? m.add(update, decayed(next)) : next;
  });

/**
 * Adam (Kingma and Ba 2015): m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, update (m / (1 -
 * b1^t)) / (sqrt(v / (1 - b2^t)) + e). The corrections are computed in double precision outside the
 * graph: 1 - b2^t loses four digits in single precision. Slots `exp_avg` and `exp_avg_sq`,
 * PyTorch's names.
 */
export const scaleByAdam = (options: { beta1: number; beta2: number; epsilon: number }): Transform => {
  const { beta1, beta2, epsilon } = options;
  return each((update, parameter, context) => {
    const { math: m } = context;
    const average = (slot: string, beta: number, x: Value): Value => {
      const next = m.add(m.mul(context.slot(parameter, slot), beta), m.mul(x, 1 - beta));
      context.keep(parameter, slot, next);
      return next;
    };
    const first = average('exp_avg', beta1, update);
    const second = average('exp_avg_sq', beta2, m.square(update));
    const correction1 = context.scalar('adam:correction1', ({ step }) => 1 / (1 - beta1 ** (step + 1)));
    const correction2 = context.scalar('adam:correction2', ({ step }) => 1 / Math.sqrt(1 - beta2 ** (step + 1)));
    const root = m.mul(m.sqrt(second), correction2);
    return m.div(m.mul(first, correction1), m.add(root, epsilon));
  });
};

/**
 * v = d v + (1 - d) g^2, update g / (sqrt(v) + e) (Tieleman and Hinton 2012). Slot `square_avg`.
 */
export const scaleByRootMeanSquare = (options: { decay: number; epsilon: number }): Transform =>
  each((update, parameter, context) => {
    const { math: m } = context;
    const before = context.slot(parameter, 'square_avg');
    const next = m.add(m.mul(before, options.decay), m.mul(m.square(update), 1 - options.decay));
    context.keep(parameter, 'square_avg', next);
    return m.div(update, m.add(m.sqrt(next), options.epsilon));
  });

/**
 * Scales all updates by min(1, limit / their common norm) (Pascanu et al. 2013), as PyTorch's
 * clip_grad_norm_.
 */
export const clipByGlobalNorm =
  (limit: number): Transform =>
  (updates, { math: m }) =>
    m.scope('clip', () => {
      let sum: Value | undefined;
      for (const update of updates.values()) {
        const axes = update.shape.map((_, i) => i);
        const square = m.square(update);
        const part = axes.length === 0 ? square : m.sum(square, axes, false);
        sum = sum ? m.add(sum, part) : part;
      }
      invariant(sum, 'clipByGlobalNorm: no updates');
      const norm = m.add(m.sqrt(sum), 1e-6);
      const factor = m.min(m.div(limit, norm), 1);
      return new Map([...updates].map(([name, update]) => [name, m.mul(update, factor)]));
    });

/** Multiplies each update by the learning rate of the parameter's group, an input. */
export const scaleByLearningRate = (scaleOf: (group: string) => number): Transform =>
  each((update, { group }, context) =>
    context.math.mul(
      update,
      context.scalar(`learning_rate:${group}`, ({ learningRate }) => learningRate * scaleOf(group)),
    ),
  );

/** From weights and updates to new weights. */
export const descend = (): Transform =>
  each((update, { value }, { math: m }) => m.builder.op('Sub', [value, update], {}, { name: 'apply' }));

/** Gives the nodes of a transform names that begin with `name/`. */
export const named =
  (name: string, transform: Transform): Transform =>
  (updates, context) =>
    context.math.scope(name, () => transform(updates, context));

/** The slot of the gradients that `accumulated` collects. */
export const accumulatedSlot = 'accumulated';

/**
 * What `transform` makes of the mean over the micro-batches of a step, those of all `ranks` among them: each is added
 * to the slot `accumulated`; the transform is built in `once`, the program that runs after the last one.
 */
export const accumulated =
  (
    { microBatches, ranks }: { readonly microBatches: number; readonly ranks: number },
    once: TransformContext,
    transform: Transform,
  ): Transform =>
  (updates, context) => {
    const { math: m, parameters } = context;
    // 0 at the first micro-batch of a step, so nothing needs to be cleared.
    const keep = (): Value => context.scalar('accumulate:keep', ({ microStep }) => (microStep === 0 ? 0 : 1));
    const means = parameters.map((parameter): [string, Value] => {
      const before = context.slot(parameter, accumulatedSlot),
        update = updateOf(updates, parameter);
      // A value of its own, since the update may be that of another parameter as well.
      const sum = microBatches === 1 ? m.builder.op('Identity', [update]) : m.add(m.mul(before, keep()), update);
      context.keep(parameter, accumulatedSlot, sum);
      return [parameter.name, once.math.mul(once.slot(parameter, accumulatedSlot), 1 / (microBatches * ranks))];
    });
    return transform(new Map(means), once);
  };

export interface AverageOptions {
  /** From 0 to below 1. */
  readonly decay: number;
  /** As in `averageDecay`; default true. */
  readonly warmUp?: boolean | undefined;
}

/**
 * Running averages of weights: a = d a + (1 - d) w, d a scalar input. It takes the weights after
 * the step in place of updates. Slot `ema`. Throws `usage` for an impossible decay.
 */
export const averaged = ({ decay, warmUp }: AverageOptions): Transform => {
  if (!(decay >= 0 && decay < 1)) {
    throw new PupilError('usage', `average of weights: decay ${decay}; give a number from 0 to below 1, such as 0.999`);
  }
  return (weights, context) => {
    const { math: m } = context;
    const d = context.scalar('average:decay', ({ step }) => averageDecay(step, decay, warmUp));
    const rest = context.scalar('average:rest', ({ step }) => 1 - averageDecay(step, decay, warmUp));
    const averages = [...weights].map(([name, value]): [string, Value] => {
      const before = context.slot({ name, value }, 'ema', 'parameter');
      const next = m.builder.op('Add', [m.mul(before, d), m.mul(value, rest)], {}, { name });
      context.keep({ name, value }, 'ema', next);
      return [name, next];
    });
    return new Map(averages);
  };
};

/** A slot's initial value: zeros of the parameter's shape. */
export function zerosLike(value: Value): Tensor {
  const dims = staticDims(value.shape);
  invariant(dims, `${value.name}: a parameter must have a static shape`);
  return zeros('float32', dims);
}

/**
 * The decay of a weight average at a step counted from 0: the first step copies the weights; with a
 * warm-up min(decay, 1 - (1 + step)^(-2/3)), timm's ModelEmaV3, so that short runs are not averaged
 * with the initial weights.
 */
export function averageDecay(step: number, decay: number, warmUp = true): number {
  if (step <= 0) return 0;
  return warmUp ? Math.min(decay, 1 - (1 + step) ** (-2 / 3)) : decay;
}
