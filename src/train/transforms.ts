import type { GraphBuilder } from '../graph/builder.js';
import { staticDims, type Value } from '../graph/graph.js';
import { invariant } from '../errors.js';
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
}

/** Computes a scalar input from the position alone, so that a resumed run feeds the same bits. */
export type ScalarRule = (position: StepPosition) => number;

export interface TransformContext {
  readonly builder: GraphBuilder;
  readonly parameters: readonly Trainable[];
  /** Declares a scalar input computed from the position; the same name gives the same input. */
  scalar(name: string, rule: ScalarRule): Value;
  /**
   * The slot `NAME@slot` of a parameter, as the previous step left it; `initial` defaults to zeros.
   */
  slot(parameter: Trainable, slot: string, initial?: Tensor): Value;
  /** Sets what a slot holds after the step. */
  keep(parameter: Trainable, slot: string, value: Value): void;
}

/** One update a parameter, by parameter name. */
export type Updates = ReadonlyMap<string, Value>;

export type Transform = (updates: Updates, context: TransformContext) => Updates;

/** Applies transforms in order. */
export const chain =
  (...transforms: readonly Transform[]): Transform =>
  (updates, context) =>
    transforms.reduce((current, transform) => transform(current, context), updates);

/** Maps every update by itself. */
function each(map: (update: Value, parameter: Trainable, context: TransformContext) => Value): Transform {
  return (updates, context) =>
    new Map(
      context.parameters.map((parameter) => {
        const update = updates.get(parameter.name);
        invariant(update, `no update for ${parameter.name}`);
        return [parameter.name, context.builder.scope(parameter.name, () => map(update, parameter, context))];
      }),
    );
}

/**
 * Adds weightDecay * parameter: L2 regularisation before a momentum, decoupled decay after Adam's
 * scaling.
 */
export const addWeightDecay = (): Transform =>
  each((update, { value, weightDecay }, { builder }) =>
    weightDecay === 0 ? update : builder.op('Add', [update, builder.op('Mul', [value, weightDecay])]),
  );

/**
 * m = momentum m + g, update m; with Nesterov g + momentum m (Sutskever et al. 2013, as PyTorch's
 * SGD has it, no dampening). Slot `momentum`.
 */
export const momentum = (options: { momentum: number; nesterov?: boolean }): Transform =>
  each((update, parameter, context) => {
    const { builder } = context;
    const decayed = (x: Value): Value => builder.op('Mul', [x, options.momentum]);
    const next = builder.op('Add', [decayed(context.slot(parameter, 'momentum')), update]);
    context.keep(parameter, 'momentum', next);
    return options.nesterov ? builder.op('Add', [update, decayed(next)]) : next;
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
    const { builder } = context;
    const average = (slot: string, beta: number, x: Value): Value => {
      const next = builder.op('Add', [
        builder.op('Mul', [context.slot(parameter, slot), beta]),
        builder.op('Mul', [x, 1 - beta]),
      ]);
      context.keep(parameter, slot, next);
      return next;
    };
    const first = average('exp_avg', beta1, update);
    const second = average('exp_avg_sq', beta2, builder.op('Mul', [update, update]));
    const correction1 = context.scalar('adam:correction1', ({ step }) => 1 / (1 - beta1 ** (step + 1)));
    const correction2 = context.scalar('adam:correction2', ({ step }) => 1 / Math.sqrt(1 - beta2 ** (step + 1)));
    const root = builder.op('Mul', [builder.op('Sqrt', [second]), correction2]);
    return builder.op('Div', [builder.op('Mul', [first, correction1]), builder.op('Add', [root, epsilon])]);
  });
};

/**
 * v = d v + (1 - d) g^2, update g / (sqrt(v) + e) (Tieleman and Hinton 2012). Slot `square_avg`.
 */
export const scaleByRootMeanSquare = (options: { decay: number; epsilon: number }): Transform =>
  each((update, parameter, context) => {
    const { builder } = context;
    const next = builder.op('Add', [
      builder.op('Mul', [context.slot(parameter, 'square_avg'), options.decay]),
      builder.op('Mul', [builder.op('Mul', [update, update]), 1 - options.decay]),
    ]);
    context.keep(parameter, 'square_avg', next);
    return builder.op('Div', [update, builder.op('Add', [builder.op('Sqrt', [next]), options.epsilon])]);
  });

/**
 * Scales all updates by min(1, limit / their common norm) (Pascanu et al. 2013), as PyTorch's
 * clip_grad_norm_.
 */
export const clipByGlobalNorm =
  (limit: number): Transform =>
  (updates, { builder }) =>
    builder.scope('clip', () => {
      let sum: Value | undefined;
      for (const update of updates.values()) {
        const axes = update.shape.map((_, i) => i);
        const square = builder.op('Mul', [update, update]);
        const part =
          axes.length === 0 ? square : builder.op('ReduceSum', [square, builder.ints(axes)], { keepdims: 0 });
        sum = sum ? builder.op('Add', [sum, part]) : part;
      }
      invariant(sum, 'clipByGlobalNorm: no updates');
      const norm = builder.op('Add', [builder.op('Sqrt', [sum]), 1e-6]);
      const factor = builder.op('Min', [builder.op('Div', [builder.scalar(limit), norm]), builder.scalar(1)]);
      return new Map([...updates].map(([name, update]) => [name, builder.op('Mul', [update, factor])]));
    });

/** Multiplies each update by the learning rate of the parameter's group, an input. */
export const scaleByLearningRate = (scaleOf: (group: string) => number): Transform =>
  each((update, { group }, context) =>
    context.builder.op('Mul', [
      update,
      context.scalar(`learning_rate:${group}`, ({ learningRate }) => learningRate * scaleOf(group)),
    ]),
  );

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
