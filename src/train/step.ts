import { invariant, PupilError } from '../errors.js';
import { differentiate } from '../graph/autodiff.js';
import type { Value } from '../graph/graph.js';
import type { ParameterGroup } from '../models/groups.js';
import type { Model } from '../models/model.js';
import { whole, type Slice } from '../parallel/communicator.js';
import type { Tensor } from '../tensor.js';
import { trainingForward, type ForwardOptions } from './forward.js';
import { supervised, type Objective, type ObjectiveResult } from './objective.js';
import { createOptimizer, type OptimizerOptions } from './optimizers.js';
import { ProgramBuilder, type StepProgram } from './program.js';
import {
  accumulated,
  accumulatedSlot,
  averaged,
  chain,
  descend,
  named,
  scaleByLearningRate,
  type AverageOptions,
  type Trainable,
  type Updates,
} from './transforms.js';

export interface TrainingStepOptions extends Omit<ForwardOptions, 'frozen'> {
  /** Images in a batch; with accumulation, in a micro-batch; of several ranks, those of this one. */
  readonly batchSize: number;
  /** Which of several ranks takes the step; default the only one. */
  readonly slice?: Slice | undefined;
  /** Whether ranks make their steps apart and average afterwards (`Averaging`): then nothing is exchanged in a step. */
  readonly local?: boolean | undefined;
  readonly groups: readonly ParameterGroup[];
  readonly optimizer: OptimizerOptions;
  /** Seeds dropout, stochastic depth and what else an objective draws. */
  readonly seed: number;
  /** Default `supervised()`. */
  readonly objective?: Objective;
  /** Exponential moving average of the weights, `NAME@ema`. */
  readonly average?: AverageOptions | undefined;
  /** Micro-batches whose mean gradient makes one update. Default 1. */
  readonly accumulate?: number;
  /** Height and width in pixels; default the model's own. */
  readonly size?: readonly [number, number];
}

/** A training step as data: what to compile, what to put into the store first, what to feed. */
export interface TrainingStep {
  /**
   * Forward, loss, backward; and the update too, unless gradients are accumulated or come from
   * several ranks. Returns `loss` and the objective's metrics.
   */
  readonly main: StepProgram;
  /**
   * With accumulation or several ranks: the update, run once after every `accumulate` runs of `main`.
   * Takes no data.
   */
  readonly apply: StepProgram | undefined;
  /**
   * Entries of the store that several ranks replace between `main` and `apply`: gradients by their sum, of which
   * `apply` takes the mean, running statistics by their mean.
   */
  readonly summedOverRanks: readonly string[];
  readonly averagedOverRanks: readonly string[];
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
  const { batchSize, groups, accumulate = 1, seed, optimizer, average, slice = whole } = options;
  const { size: exchanging } = exchangingOf(options);
  positiveInteger('batch size', batchSize);
  positiveInteger('accumulation', accumulate);
  const initialState = new Map<string, Tensor>();
  const main = new ProgramBuilder(`${model.architecture} step`, seed, initialState, slice);
  for (const { name } of model.graph.inputs) if (name !== 'input') main.state(name, () => valueOf(model, name));
  const { constants, loss, metrics = {}, observed = {} } = buildLoss(main, model, options);
  const { parameters, gradients } = buildGradients(main, loss, constants, groups);
  if (parameters.length === 0) throw new PupilError('usage', `${model.architecture}: nothing to train; freeze less`);
  const statistics = [...model.statistics].filter((name) => main.current(name) !== main.state(name));

  // The update: in the same graph, or in one of its own that reads the accumulated gradients.
  const isApart = accumulate > 1 || exchanging > 1;
  const update = !isApart ? main : new ProgramBuilder(`${model.architecture} update`, seed, initialState);
  const once = update.transforming(parameters);
  const scales = new Map(groups.map((group) => [group.name, group.lrScale]));
  const scaleOf = (group: string): number => scales.get(group)!;
  const descent = named('update', chain(createOptimizer(optimizer), scaleByLearningRate(scaleOf), descend()));
  const weights = isApart
    ? accumulated(
        { microBatches: accumulate, ranks: exchanging },
        once,
        descent,
      )(gradients, main.transforming(parameters))
    : descent(gradients, once);
  for (const [name, value] of weights) update.set(name, value);
  const followed = average ? [...weights.keys(), ...statistics] : [];
  if (average) {
    for (const name of statistics) update.state(name);
    named('average', averaged(average))(new Map(followed.map((name) => [name, update.current(name)])), once);
  }

  return {
    main: main.finish({ loss, ...metrics, ...observed }),
    apply: isApart ? update.finish({}) : undefined,
    summedOverRanks: exchanging === 1 ? [] : parameters.map(({ name }) => `${name}@${accumulatedSlot}`),
    averagedOverRanks: exchanging === 1 ? [] : statistics,
    accumulate,
    batchSize,
    initialState,
    averaged: new Set(followed),
    trainable: parameters.map(({ name }) => name),
    metrics: Object.keys(metrics),
    observed: Object.keys(observed),
    setScale(group, scale) {
      invariant(scales.has(group), `no parameter group ${group}`);
      scales.set(group, scale);
    },
  };
}

/** The ranks that take a step together. */
const exchangingOf = ({ slice = whole, local = false }: TrainingStepOptions): Slice => (local ? whole : slice);

function valueOf({ architecture, parameters }: Model, name: string): Tensor {
  const tensor = parameters.get(name);
  invariant(tensor, `${architecture}: no value for its input ${name}`);
  return tensor;
}

/** The objective's loss, and what counts as constant in it. */
function buildLoss(
  program: ProgramBuilder,
  model: Model,
  options: TrainingStepOptions,
): ObjectiveResult & { readonly constants: readonly Value[] } {
  const { batchSize, groups, size, average, objective = supervised(), ...forward } = options;
  const classes = model.graph.values.get('logits')?.shape[1];
  if (typeof classes !== 'number')
    throw new PupilError(
      'bad-model',
      `${model.architecture}: has no classifier with a known number of classes; give it one with \`replaceHead\`, ` +
        'or name its output with `modelOutput`',
      { option: 'model' },
    );
  const frozen = new Set(groups.flatMap((group) => (group.frozen ? group.parameters : [])));
  const constants: Value[] = [];
  const follow = (name: string): Value => {
    if (average) return program.state(`${name}@ema`, () => valueOf(model, name));
    throw new PupilError('usage', 'this technique needs averaged weights; set `ema`, such as 0.999', {
      option: 'ema',
    });
  };
  const { size: ranks } = exchangingOf(options);
  const over = { ranks, meanOverRanks: (value: Value) => (ranks === 1 ? value : program.meanOverRanks(value)) };
  const result = objective({
    math: program.math,
    batchSize,
    classes,
    size: size ?? model.preprocessing.size,
    input: (name, dtype, dims) => program.input(name, dtype, dims),
    scalar: (name, rule) => program.scalar(name, rule),
    uniform: (name, dims) => program.uniform(name, dims),
    detach: (value) => (constants.push(value), value),
    memory: (name, initial) => program.state(name, () => initial),
    remember: (name, value) => program.set(name, value),
    ...over,
    forward: (pixels, { weights = 'current', updateStatistics = weights === 'current', blocks } = {}) =>
      trainingForward(
        {
          math: program.math,
          value: (name) =>
            weights === 'current' || frozen.has(name) || model.statistics.has(name)
              ? program.current(name)
              : follow(name),
          replace: (name, value) => updateStatistics && program.set(name, value),
          mask: (node, dims, rate) => program.mask(node, dims, rate, blocks),
          ...over,
        },
        model,
        pixels,
        { ...forward, frozen },
      ),
  });
  return { ...result, constants };
}

/** The gradients of the parameters that are trained and that the loss depends on. */
function buildGradients(
  program: ProgramBuilder,
  loss: Value,
  constants: readonly Value[],
  groups: readonly ParameterGroup[],
): { readonly parameters: readonly Omit<Trainable, 'value'>[]; readonly gradients: Updates } {
  const open = groups
    .filter((group) => !group.frozen)
    .flatMap((group) => group.parameters.map((name) => ({ name, group: group.name, weightDecay: group.weightDecay })));
  const found = differentiate(
    program.builder,
    loss,
    open.map(({ name }) => program.current(name)),
    constants,
  );
  const gradients = new Map(open.flatMap(({ name }, i) => (found[i] ? [[name, found[i]] as const] : [])));
  return { parameters: open.filter(({ name }) => gradients.has(name)), gradients };
}

function positiveInteger(what: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1))
    throw new PupilError('usage', `${what} ${value}: give a whole number, 1 or more`);
}
