import { invariant, PupilError } from '../errors.js';
import { differentiate } from '../graph/autodiff.js';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/graph.js';
import type { ParameterGroup } from '../models/groups.js';
import type { Model } from '../models/model.js';
import { float32, type DataType, type Tensor } from '../tensor.js';
import { trainingForward, type ForwardOptions } from './forward.js';
import { batchMean, correctCount, mixedLoss, smoothTargets, type LossMix } from './losses.js';
import { createOptimizer, type OptimizerOptions } from './optimizers.js';
import { ProgramBuilder, type StepProgram } from './program.js';
import {
  averageDecay,
  chain,
  scaleByLearningRate,
  zerosLike,
  type ScalarRule,
  type Trainable,
  type TransformContext,
  type Updates,
} from './transforms.js';

/** What an objective builds its loss from. */
export interface ObjectiveContext {
  readonly builder: GraphBuilder;
  /** Images in a (micro-)batch. */
  readonly batchSize: number;
  readonly classes: number;
  /** Height and width of the images, pixels. */
  readonly size: readonly [number, number];
  /** Declares an input that holds data, fed by the loader. */
  input(name: string, dtype: DataType, dims: readonly number[]): Value;
  /** Declares a scalar input computed from the position (a ramp, a temperature). */
  scalar(name: string, rule: ScalarRule): Value;
  /** The model in training form: pixels uint8 [B, H, W, 3] -> logits [B, classes]; any B. */
  forward(pixels: Value): Value;
  /** Lets no gradient through: the value counts as a constant. Returns it. */
  detach(value: Value): Value;
  /**
   * A number or more that a technique remembers between steps: its value before the step. It is
   * part of every checkpoint.
   */
  memory(name: string, initial: Tensor): Value;
  /** Sets what `memory` gives in the next step. */
  remember(name: string, value: Value): void;
}

/** The loss of a step (a scalar) and what is reported beside it. */
export interface ObjectiveResult {
  readonly loss: Value;
  /** Scalars, summed over the micro-batches of a step. */
  readonly metrics?: Readonly<Record<string, Value>>;
  /** Values of any shape for the batch source's observer, after each (micro-)batch. */
  readonly observed?: Readonly<Record<string, Value>>;
}

/**
 * Builds the loss of a technique: declares its inputs, runs the model on them and returns a scalar.
 */
export type Objective = (context: ObjectiveContext) => ObjectiveResult;

/**
 * Plain supervised training: inputs `pixels` uint8 [B, H, W, 3] and `targets` float32 [B, classes];
 * metric `correct`, a count.
 */
export const supervised =
  (options: { losses?: LossMix; labelSmoothing?: number } = {}): Objective =>
  (context) => {
    const { builder, batchSize, classes, size } = context;
    const pixels = context.input('pixels', 'uint8', [batchSize, ...size, 3]);
    const targets = context.input('targets', 'float32', [batchSize, classes]);
    const logits = context.forward(pixels);
    return builder.scope('loss', () => {
      const smooth = smoothTargets(builder, targets, options.labelSmoothing ?? 0);
      const perSample = mixedLoss(builder, logits, smooth, options.losses ?? { 'cross-entropy': 1 });
      return { loss: batchMean(builder, perSample), metrics: { correct: correctCount(builder, logits, targets) } };
    });
  };

export interface TrainingStepOptions extends Omit<ForwardOptions, 'frozen'> {
  /** Images in a batch; with accumulation, in a micro-batch. */
  readonly batchSize: number;
  readonly groups: readonly ParameterGroup[];
  readonly optimizer: OptimizerOptions;
  /** Seeds dropout and stochastic depth. */
  readonly seed: number;
  /** Default `supervised()`. */
  readonly objective?: Objective;
  /**
   * Exponential moving average of the weights, `NAME@ema`; warm-up as in `averageDecay` (default
   * true).
   */
  readonly average?: { readonly decay: number; readonly warmUp?: boolean };
  /** Micro-batches whose mean gradient makes one update. Default 1. */
  readonly accumulate?: number;
  /** Height and width in pixels; default the model's own. */
  readonly size?: readonly [number, number];
}

/** A training step as data: what to compile, what to put into the store first, what to feed. */
export interface TrainingStep {
  /**
   * Forward, loss, backward; and the update too, unless gradients are accumulated. Returns `loss`
   * and the objective's metrics.
   */
  readonly main: StepProgram;
  /**
   * With accumulation: the update, run once after every `accumulate` runs of `main`. Takes no data.
   */
  readonly apply: StepProgram | undefined;
  readonly accumulate: number;
  readonly batchSize: number;
  /** Parameters, statistics, `NAME@momentum`..., `NAME@ema`: all that a checkpoint has to hold. */
  readonly initialState: ReadonlyMap<string, Tensor>;
  /** Parameters that this step changes. */
  readonly trainable: readonly string[];
  /** Parameters and statistics that have an average `NAME@ema`. */
  readonly averaged: ReadonlySet<string>;
  /** Names of the scalars a run of `main` returns beside `loss`. */
  readonly metrics: readonly string[];
  /** Names of the tensors a run of `main` returns for the observer. */
  readonly observed: readonly string[];
  /** Changes the learning-rate factor of a group from the next step on, without compiling again. */
  setScale(group: string, scale: number): void;
}

/**
 * Builds one training step of a model as a graph: normalisation, forward in training form, loss,
 * gradients of the parameters that are not frozen, optimizer, averages. Throws `usage` for
 * impossible options, `unsupported` where an op has no gradient.
 */
export function buildTrainingStep(model: Model, options: TrainingStepOptions): TrainingStep {
  const { batchSize, groups, accumulate = 1, seed, objective = supervised() } = options;
  positiveInteger('batch size', batchSize);
  positiveInteger('accumulation', accumulate);
  const scales = new Map(groups.map((group) => [group.name, group.lrScale]));
  const initialState = new Map<string, Tensor>();
  const parameterOf = (name: string) => (): Tensor => {
    const tensor = model.parameters.get(name);
    invariant(tensor, `${model.architecture}: no value for its input ${name}`);
    return tensor;
  };

  // Forward, loss and gradients.
  const main = new ProgramBuilder(`${model.architecture} step`, seed, initialState);
  const { builder } = main;
  for (const { name } of model.graph.inputs) if (name !== 'input') main.state(name, parameterOf(name));
  const frozen = new Set(groups.filter((group) => group.frozen).flatMap((group) => group.parameters));
  const classes = model.graph.values.get('logits')?.shape[1];
  invariant(typeof classes === 'number', `${model.architecture}: the number of classes is not known`);
  const constants: Value[] = [];
  const {
    loss,
    metrics = {},
    observed = {},
  } = objective({
    builder,
    batchSize,
    classes,
    size: options.size ?? model.preprocessing.size,
    input: (name, dtype, dims) => main.input(name, dtype, dims),
    scalar: (name, rule) => main.scalar(name, rule),
    detach: (value) => (constants.push(value), value),
    memory: (name, initial) => main.state(name, () => initial),
    remember: (name, value) => main.set(name, value),
    forward: (pixels) =>
      trainingForward(
        {
          builder,
          value: (name) => main.current(name),
          replace: (name, value) => main.set(name, value),
          mask: (node, dims, rate) => main.mask(node, dims, rate),
        },
        model,
        pixels,
        { ...options, frozen },
      ),
  });
  const wanted = groups
    .filter((group) => !group.frozen)
    .flatMap((group) => group.parameters.map((name) => ({ name, group: group.name, weightDecay: group.weightDecay })));
  const gradients = differentiate(
    builder,
    loss,
    wanted.map(({ name }) => main.current(name)),
    constants,
  );
  const gradientOf = new Map<string, Value>();
  wanted.forEach(({ name }, i) => {
    const gradient = gradients[i];
    if (gradient) gradientOf.set(name, gradient);
  });
  if (gradientOf.size === 0) throw new PupilError('usage', `${model.architecture}: nothing to train; freeze less`);
  const changed = wanted.filter(({ name }) => gradientOf.has(name));
  const statistics = [...model.statistics].filter((name) => main.current(name) !== main.state(name, parameterOf(name)));
  const averaged = new Set(options.average ? [...changed.map(({ name }) => name), ...statistics] : []);

  // The update: in the same graph, or in one of its own that reads the accumulated gradients.
  const update = accumulate === 1 ? main : new ProgramBuilder(`${model.architecture} update`, seed, initialState);
  const parameters = changed.map((entry): Trainable => ({
    ...entry,
    value: update.state(entry.name, parameterOf(entry.name)),
  }));
  let updates: Updates = gradientOf;
  if (update !== main) {
    updates = new Map(
      parameters.map(({ name, value }) => {
        const slot = `${name}@accumulated`;
        const before = main.state(slot, () => zerosLike(value));
        // keep is 0 at the first micro-batch of a step, so nothing needs to be cleared.
        const keep = main.scalar('accumulate:keep', ({ microStep }) => (microStep === 0 ? 0 : 1));
        main.set(
          slot,
          builder.op('Add', [
            builder.op('Mul', [before, keep]),
            builder.op('Mul', [gradientOf.get(name)!, 1 / accumulate]),
          ]),
        );
        return [name, update.state(slot, () => zerosLike(value))];
      }),
    );
  }
  const context: TransformContext = {
    builder: update.builder,
    parameters,
    scalar: (name, rule) => update.scalar(name, rule),
    slot: ({ name, value }, slot, initial) => update.state(`${name}@${slot}`, () => initial ?? zerosLike(value)),
    keep: ({ name }, slot, value) => update.set(`${name}@${slot}`, value),
  };
  const scaleOf = (group: string): number => scales.get(group)!;
  const final = update.builder.scope('update', () =>
    chain(createOptimizer(options.optimizer), scaleByLearningRate(scaleOf))(updates, context),
  );
  for (const { name, value } of parameters) {
    update.set(name, update.builder.op('Sub', [value, final.get(name)!], {}, { name: `update/${name}/apply` }));
  }
  if (options.average) addAverages(update, averaged, options.average, parameterOf);

  const apply = update === main ? undefined : update.finish({});
  return {
    main: main.finish({ loss, ...metrics, ...observed }),
    apply,
    accumulate,
    batchSize,
    initialState,
    averaged,
    trainable: changed.map(({ name }) => name),
    metrics: Object.keys(metrics),
    observed: Object.keys(observed),
    setScale(group, scale) {
      invariant(scales.has(group), `no parameter group ${group}`);
      scales.set(group, scale);
    },
  };
}

/**
 * a = d a + (1 - d) w after the update, for parameters and running statistics; d is a scalar input.
 */
function addAverages(
  program: ProgramBuilder,
  names: ReadonlySet<string>,
  options: NonNullable<TrainingStepOptions['average']>,
  parameterOf: (name: string) => () => Tensor,
): void {
  const { builder } = program;
  if (!(options.decay >= 0 && options.decay < 1)) {
    throw new PupilError(
      'usage',
      `average of weights: decay ${options.decay}; give a number from 0 to below 1, such as 0.999`,
    );
  }
  const decay = program.scalar('average:decay', ({ step }) => averageDecay(step, options.decay, options.warmUp));
  const rest = program.scalar('average:rest', ({ step }) => 1 - averageDecay(step, options.decay, options.warmUp));
  builder.scope('average', () => {
    for (const name of names) {
      program.state(name, parameterOf(name));
      const before = program.state(`${name}@ema`, parameterOf(name));
      program.set(
        `${name}@ema`,
        builder.op(
          'Add',
          [builder.op('Mul', [before, decay]), builder.op('Mul', [program.current(name), rest])],
          {},
          { name },
        ),
      );
    }
  });
}

function positiveInteger(what: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1))
    throw new PupilError('usage', `${what} ${value}: give a whole number, 1 or more`);
}

/**
 * A batch's tensors for `supervised`: `pixels` uint8 [count, height, width, 3] and `targets`
 * float32 [count, classes].
 */
export function supervisedFeeds(batch: {
  readonly pixels: Uint8Array;
  readonly targets: Float32Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
}): Record<string, Tensor> {
  const { pixels, targets, count, height, width } = batch;
  return {
    pixels: { dtype: 'uint8', dims: [count, height, width, 3], data: pixels },
    targets: float32([count, targets.length / count], targets),
  };
}
