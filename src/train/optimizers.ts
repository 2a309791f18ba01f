import { PupilError } from '../errors.js';
import {
  addWeightDecay,
  chain,
  clipByGlobalNorm,
  momentum,
  scaleByAdam,
  scaleByRootMeanSquare,
  type Transform,
} from './transforms.js';

/**
 * An optimizer by name, with PyTorch's defaults where it has them; weight decay belongs to the
 * parameter groups.
 */
export interface OptimizerOptions {
  readonly name: OptimizerName;
  /** sgd (default 0.9) and rmsprop (default 0). */
  readonly momentum?: number;
  /** sgd: default true when there is momentum. */
  readonly nesterov?: boolean;
  /** adam and adamw: 0.9. */
  readonly beta1?: number;
  /** adam and adamw: 0.999. */
  readonly beta2?: number;
  /** adam, adamw and rmsprop: 1e-8. */
  readonly epsilon?: number;
  /** Largest global norm of the gradients; none by default. */
  readonly clip?: number;
}

/** From gradients to updates, before the learning rate. */
const table = {
  /** Stochastic gradient descent; weight decay is added to the gradient, as in PyTorch. */
  sgd: (o: OptimizerOptions) => {
    const amount = o.momentum ?? 0.9;
    const moving = amount === 0 ? [] : [momentum({ momentum: amount, nesterov: o.nesterov ?? true })];
    return chain(addWeightDecay(), ...moving);
  },
  /** Adam with weight decay added to the gradient. */
  adam: (o: OptimizerOptions) => chain(addWeightDecay(), adaptive(o)),
  /** Adam with decoupled weight decay (Loshchilov and Hutter 2019). */
  adamw: (o: OptimizerOptions) => chain(adaptive(o), addWeightDecay()),
  rmsprop: (o: OptimizerOptions) => {
    const moving = o.momentum ? [momentum({ momentum: o.momentum, nesterov: o.nesterov ?? false })] : [];
    return chain(addWeightDecay(), scaleByRootMeanSquare({ decay: 0.99, epsilon: o.epsilon ?? 1e-8 }), ...moving);
  },
} satisfies Record<string, (options: OptimizerOptions) => Transform>;

const adaptive = (o: OptimizerOptions): Transform =>
  scaleByAdam({ beta1: o.beta1 ?? 0.9, beta2: o.beta2 ?? 0.999, epsilon: o.epsilon ?? 1e-8 });

export type OptimizerName = keyof typeof table;

/** The names that `createOptimizer` knows. */
export const optimizerNames = Object.keys(table) as OptimizerName[];

/**
 * The transform of a named optimizer, gradient clipping first. Throws `usage` for an unknown name
 * or an impossible value.
 */
export function createOptimizer(options: OptimizerOptions): Transform {
  if (!Object.hasOwn(table, options.name)) {
    throw new PupilError(
      'usage',
      `optimizer ${JSON.stringify(options.name)}: unknown; give one of ${optimizerNames.join(', ')}`,
    );
  }
  for (const name of ['momentum', 'beta1', 'beta2'] as const) {
    const value = options[name];
    if (value !== undefined && !(value >= 0 && value < 1)) {
      throw new PupilError('usage', `${options.name}: ${name} ${value}; give a number from 0 to below 1`);
    }
  }
  if (options.clip !== undefined && !(options.clip > 0)) {
    throw new PupilError('usage', `clipping at a norm of ${options.clip}; give a number above 0, or leave it out`);
  }
  const optimizer = table[options.name](options);
  return options.clip === undefined ? optimizer : chain(clipByGlobalNorm(options.clip), optimizer);
}
