import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { alone, type Ranks } from '../parallel/ranks.js';
import type { Tensor } from '../tensor.js';
import { changedBy, type Averaging, type Stretch, type Sums } from './averaging.js';
import { createBudget, type Budget, type Mutable } from './budget.js';
import type { Ending, Evaluation, FitEvent, FitPosition } from './events.js';
import { compileStep, openFeed, type BatchFeed, type BatchSource, type StepRunner } from './runner.js';
import type { Schedule } from './schedules.js';
import type { TrainingStep } from './step.js';

/** All that has to be saved: state and position. */
export interface FitSnapshot {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly position: FitPosition;
  readonly isBest: boolean;
}

export interface FitOptions {
  readonly engine: Engine;
  readonly step: TrainingStep;
  /** Of this rank. */
  readonly source: BatchSource;
  /** Those that train together; the same options go to each. Default this process alone. */
  readonly ranks?: Ranks | undefined;
  /** Of a step that is `local`: when and how the processes average their states. */
  readonly averaging?: Averaging | undefined;
  readonly epochs: number;
  /** Base learning rate; the schedule and the groups scale it. */
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** Evaluates the weights in the engine's store, after each epoch; of several ranks only the first does. */
  readonly evaluate?:
    ((position: { readonly epoch: number; readonly step: number }) => Promise<Evaluation>) | undefined;
  /** Epochs between evaluations (the last epoch is always evaluated). Default 1. */
  readonly evaluateEvery?: number | undefined;
  /** Stop after this many evaluations without a better one. */
  readonly patience?: number | undefined;
  /**
   * Time budget of the training in minutes: the number of steps is settled after the first few, so
   * that the schedule ends in time.
   */
  readonly minutes?: number | undefined;
  /** Seconds of what follows the training: where steps become slower, more time is left for that. Default 0. */
  readonly follows?: number | undefined;
  /** What an evaluation is expected to take, seconds: part of the time budget. Default 0. */
  readonly evaluationSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Saves a snapshot and returns its path. Without it there are no checkpoints. */
  readonly save?: ((snapshot: FitSnapshot) => Promise<string>) | undefined;
  /**
   * Seconds between checkpoints within an epoch, and at least between those of short epochs that
   * are not the best. Default 30.
   */
  readonly checkpointSeconds?: number | undefined;
  /**
   * Tensors to begin with in place of the step's initial ones: a checkpoint's, or an earlier
   * phase's.
   */
  readonly state?: ReadonlyMap<string, Tensor> | undefined;
  /** Where to go on; with the `state` of the same snapshot the run continues bit for bit. */
  readonly resume?: FitPosition | undefined;
  /** Path of the checkpoint that `resume` comes from: the last good one until another is saved. */
  readonly resumedFrom?: string | undefined;
  /**
   * A check of the state before each checkpoint is made unless false: a weight that is not finite
   * means divergence.
   */
  readonly checkState?: boolean | undefined;
}

/** Before the first step. */
export const begin: FitPosition = {
  epoch: 0,
  finished: false,
  stepInEpoch: 0,
  step: 0,
  plannedSteps: null,
  sums: { loss: 0, correct: 0, images: 0, steps: 0 },
  best: null,
  waited: 0,
  seconds: 0,
};

/** A training under way. */
interface Session {
  readonly options: FitOptions;
  readonly ranks: Ranks;
  readonly runner: StepRunner;
  /** What steps gave that are not part of the position yet, and how long each took, in seconds. */
  readonly unsettled: { loss: number; correct: number; took: number[] };
  /** Steps of an epoch, and of all. */
  readonly stepsPerEpoch: number;
  readonly everything: number;
  readonly position: Mutable<FitPosition>;
  readonly budget: Budget;
  readonly checkpoints: Checkpoints;
  /** Seconds of training, those of earlier sessions included. */
  seconds(): number;
}

/**
 * Trains: one engine run per batch, in the engine's worker, while the source prepares the next.
 * Yields what happens; whoever reads the events cannot change the training. Throws `diverged` when
 * the loss stops being finite, `interrupted` after an abort (the state is saved first). Returns the
 * final position.
 */
export async function* fit(options: FitOptions): AsyncGenerator<FitEvent, FitPosition, undefined> {
  checkOptions(options);
  const session = await openSession(options);
  const { position, budget, stepsPerEpoch } = session;
  try {
    if (options.minutes === undefined) position.plannedSteps ??= session.everything;
    yield {
      type: 'start',
      epochs: options.epochs,
      stepsPerEpoch,
      totalSteps: budget.totalSteps(),
      step: position.step,
    };
    let reason: Ending = 'epochs';
    while (!position.finished) {
      await catchUp(session);
      if (position.stepInEpoch < stepsPerEpoch && !budget.isReached()) yield* trainEpoch(session);
      if (isStopped(session)) return yield* interrupt(session);
      reason = yield* endEpoch(session);
    }
    const { epoch, step, best } = position;
    yield { type: 'done', epoch, step, best, seconds: session.seconds(), reason };
    return position;
  } finally {
    await session.runner.close();
  }
}

async function openSession(options: FitOptions): Promise<Session> {
  const { engine, step, source, state, ranks = alone } = options;
  const position: Mutable<FitPosition> = { ...(options.resume ?? begin) };
  const { observer } = source;
  if (state) observer?.restore(state);
  // Of several ranks only the first may have been given what it was saved with.
  if (observer && ranks.size > 1) observer.restore(await ranks.shareTensors(observer.save()));
  const initial = new Map([...step.initialState].map(([name, value]) => [name, state?.get(name) ?? value]));
  await engine.write(await ranks.shareTensors(initial));
  const runner = await compileStep(engine, step, options.averaging ? alone : ranks);
  const stepsPerEpoch = runner.stepsPerEpoch(source);
  const everything = options.epochs * stepsPerEpoch;
  const earlier = position.seconds,
    opened = performance.now();
  const seconds = (): number => earlier + (performance.now() - opened) / 1000;
  return {
    options,
    ranks,
    runner,
    unsettled: { loss: 0, correct: 0, took: [] },
    stepsPerEpoch,
    everything,
    position,
    seconds,
    budget: createBudget(options, position, { stepsPerEpoch, everything }),
    checkpoints: createCheckpoints(options, position, seconds),
  };
}

/** Ranks stop after the same step: the last exchange told all of them. */
const isStopped = ({ ranks, options: { signal } }: Session): boolean =>
  ranks.size > 1 ? ranks.isStopped : signal?.aborted === true;

/** The steps that this process makes next; undefined: none are left. */
const nextStretch = async ({
  options: { averaging },
  position,
  stepsPerEpoch,
}: Session): Promise<Stretch | undefined> =>
  averaging
    ? averaging.next(position, stepsPerEpoch)
    : { epoch: position.epoch, from: position.stepInEpoch, to: stepsPerEpoch };

function moveTo({ position, stepsPerEpoch }: Session, { epoch, from }: Pick<Stretch, 'epoch' | 'from'>): void {
  position.epoch = epoch;
  position.stepInEpoch = from;
  position.step = epoch * stepsPerEpoch + from;
}

/** Moves on over epochs of which other processes have made all steps: to the next that is left, else to the end. */
async function catchUp(session: Session): Promise<void> {
  const { options, position, stepsPerEpoch } = session;
  if (!options.averaging || position.stepInEpoch === stepsPerEpoch) return;
  const next = (await nextStretch(session)) ?? { epoch: options.epochs - 1, from: stepsPerEpoch };
  if (next.epoch > position.epoch || next.from === stepsPerEpoch) moveTo(session, next);
}

/** Runs what is left of the epoch under way. */
async function* trainEpoch(session: Session): AsyncGenerator<FitEvent, void, undefined> {
  const { options, position, budget, stepsPerEpoch } = session;
  const { step, source } = options;
  const started = performance.now(),
    epoch = position.epoch + 1;
  let feed: BatchFeed | undefined;
  try {
    while (position.stepInEpoch < stepsPerEpoch && !budget.isReached()) {
      const stretch = await nextStretch(session);
      if (stretch?.epoch !== position.epoch) break;
      if (!feed || stretch.from !== position.stepInEpoch) {
        await feed?.close();
        moveTo(session, stretch);
        feed = openFeed(source, position.epoch, position.stepInEpoch * step.accumulate);
      }
      yield* trainUntil(stretch.to, session, feed);
    }
  } finally {
    await feed?.close();
  }
  const { loss, correct, images, steps } = position.sums;
  if (steps === 0) return;
  yield {
    type: 'epoch',
    epoch,
    step: position.step,
    loss: loss / steps,
    accuracy: step.metrics.includes('correct') ? correct / images : undefined,
    seconds: (performance.now() - started) / 1000,
    observed: source.observer?.summary(),
  };
}

/** Runs the steps of the epoch before `to`, after which processes that train apart average. */
async function* trainUntil(to: number, session: Session, feed: BatchFeed): AsyncGenerator<FitEvent, void, undefined> {
  const { ranks, position, budget, checkpoints, stepsPerEpoch } = session;
  while (position.stepInEpoch < to && !budget.isReached()) {
    if (isStopped(session)) {
      count(session, session.unsettled);
      return yield* interrupt(session);
    }
    // Without exchanges in a step, only this tells that another rank has failed.
    ranks.signal.throwIfAborted();
    yield await trainStep(session, feed, to);
    const isSettled = session.unsettled.took.length === 0;
    if (isSettled && checkpoints.isDue() && position.stepInEpoch < stepsPerEpoch) yield* checkpoints.save(false);
  }
}

/** Runs one step and moves the position on. */
async function trainStep(session: Session, feed: BatchFeed, to: number): Promise<FitEvent> {
  const { options, ranks, runner, unsettled, position, budget, checkpoints } = session;
  const { step, source, schedule, averaging } = options;
  const started = performance.now();
  const total = budget.totalSteps();
  const learningRate = options.learningRate * schedule(position.step, total);
  const { loss, sums, badBatch } = await runner.run(
    { step: position.step, total, learningRate },
    feed,
    source.observer,
  );
  if (badBatch) {
    const where = `the loss is ${loss} at step ${position.step + 1} (epoch ${position.epoch + 1})`;
    throw diverged(where, checkpoints.last(), badBatch);
  }
  const took = (performance.now() - started) / 1000;
  const { correct, ...rest } = sums;
  position.step++;
  position.stepInEpoch++;
  unsettled.loss += loss;
  unsettled.correct += correct ?? 0;
  unsettled.took.push(took);
  if (!averaging || position.stepInEpoch === to || budget.isReached()) await settle(session);
  const images = step.batchSize * step.accumulate;
  return {
    type: 'step',
    epoch: position.epoch + 1,
    step: position.step,
    totalSteps: budget.totalSteps(),
    loss,
    accuracy: correct === undefined ? undefined : correct / (averaging ? images : images * ranks.size),
    metrics: Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value / step.accumulate])),
    learningRate,
    imagesPerSecond: (images * ranks.size) / took,
  };
}

/** Makes what steps gave part of the position: after every step, or where processes that train apart average. */
async function settle(session: Session): Promise<void> {
  const { options, ranks, unsettled, position, budget, checkpoints, seconds } = session;
  const { engine, step, averaging, minutes, checkState = true } = options;
  const started = performance.now();
  const steps = unsettled.took.length;
  let sums: Sums = unsettled;
  if (averaging) {
    const state = await engine.read(changedBy(step));
    if (checkState) checkFinite(state, position.step, checkpoints.last());
    sums = await averaging.average(state, { loss: unsettled.loss, correct: unsettled.correct, steps });
    await engine.write(state);
  }
  const each = (performance.now() - started) / 1000 / steps;
  const clock = { took: unsettled.took.map((took) => took + each), at: seconds() };
  // The clock of one rank counts for all.
  const { took, at } = minutes === undefined ? clock : await ranks.share(clock);
  count(session, sums);
  position.seconds = at;
  for (const seconds of took) budget.timed(seconds, at);
  budget.keep(at);
}

/** Adds to the position what the steps that are not part of it gave. */
function count({ options: { step }, ranks, unsettled, position }: Session, { loss, correct }: Sums): void {
  const before = position.sums,
    steps = unsettled.took.length;
  position.sums = {
    loss: before.loss + loss,
    correct: before.correct + correct,
    images: before.images + steps * step.batchSize * step.accumulate * ranks.size,
    steps: before.steps + steps,
  };
  Object.assign(unsettled, { loss: 0, correct: 0, took: [] });
}

/**
 * Evaluates, and decides whether there is another epoch. The position moves on before the
 * checkpoint, so that a resumed run does not evaluate twice.
 */
async function* endEpoch({
  options,
  ranks,
  position,
  budget,
  checkpoints,
  everything,
}: Session): AsyncGenerator<FitEvent, Ending, undefined> {
  const { evaluate, evaluateEvery = 1, epochs, patience } = options;
  const epoch = position.epoch + 1,
    { step } = position;
  const isLast = epoch >= epochs || budget.isReached();
  let isBest = false;
  if (evaluate && (isLast || epoch % evaluateEvery === 0)) {
    const { score, metrics } = await ranks.share(ranks.leads ? await evaluate({ epoch, step }) : undefined);
    isBest = Number.isFinite(score) && (position.best === null || score > position.best.score);
    if (isBest) position.best = { epoch, step, score, metrics };
    position.waited = isBest ? 0 : position.waited + 1;
    yield { type: 'evaluation', epoch, step, score, metrics, isBest };
  }
  position.epoch = epoch;
  position.stepInEpoch = 0;
  position.sums = begin.sums;
  const reason: Ending =
    budget.isReached() && step < everything
      ? 'minutes'
      : !isLast && patience !== undefined && position.waited >= patience
        ? 'patience'
        : 'epochs';
  if (reason !== 'epochs') yield { type: 'early-stop', epoch, step, allSteps: everything, reason };
  position.finished = isLast || reason !== 'epochs';
  if (isBest || position.finished || checkpoints.isDue()) yield* checkpoints.save(isBest, true);
  return reason;
}

/** Saves, and throws `interrupted`. */
async function* interrupt({ position, checkpoints }: Session): AsyncGenerator<FitEvent, never, undefined> {
  yield* checkpoints.save(false);
  const saved = checkpoints.last();
  throw new PupilError(
    'interrupted',
    saved === undefined
      ? `interrupted after step ${position.step}; continue with \`resume\`, which begins this part again`
      : `interrupted after step ${position.step}; saved as ${saved}, continue with \`resume\``,
  );
}

interface Checkpoints {
  /**
   * Saves unless the step has been saved; `moved`: the position changed though the step did not.
   */
  save(isBest: boolean, moved?: boolean): AsyncGenerator<FitEvent, void, undefined>;
  /** Whether it is time for another. */
  isDue(): boolean;
  /** Path of the last good one. */
  last(): string | undefined;
}

function createCheckpoints(
  { engine, step, source, save, resumedFrom, checkState = true, checkpointSeconds = 30 }: FitOptions,
  position: Mutable<FitPosition>,
  seconds: () => number,
): Checkpoints {
  let last = resumedFrom,
    savedAt = performance.now(),
    savedStep = -1;
  return {
    last: () => last,
    isDue: () => save !== undefined && performance.now() - savedAt > checkpointSeconds * 1000,
    async *save(isBest, moved = false) {
      if (!save || (position.step === savedStep && !moved)) return;
      const stored = await engine.read([...step.initialState.keys()]);
      const tensors = new Map([...stored, ...(source.observer?.save() ?? [])]);
      if (checkState) checkFinite(tensors, position.step, last);
      position.seconds = seconds();
      const path = await save({ tensors, position: structuredClone(position), isBest });
      last = path;
      savedAt = performance.now();
      savedStep = position.step;
      const epoch = Math.max(1, position.epoch + (position.stepInEpoch > 0 ? 1 : 0));
      yield { type: 'checkpoint', epoch, step: position.step, path, isBest };
    },
  };
}

function checkOptions({ epochs, learningRate, patience, minutes, evaluateEvery = 1 }: FitOptions): void {
  const check = (what: string, value: number | undefined, valid: (x: number) => boolean, expected: string): void => {
    if (value !== undefined && !valid(value)) throw new PupilError('usage', `\`${what}: ${value}\`: give ${expected}`);
  };
  const whole = (x: number): boolean => Number.isInteger(x) && x >= 1;
  check('epochs', epochs, whole, 'a whole number, 1 or more');
  check('evaluateEvery', evaluateEvery, whole, 'a whole number, 1 or more');
  check('patience', patience, whole, 'a whole number, 1 or more');
  check('lr', learningRate, (x) => x > 0 && Number.isFinite(x), 'a number above 0');
  check('minutes', minutes, (x) => x > 0, 'a number above 0');
}

function diverged(what: string, lastCheckpoint: string | undefined, files: readonly string[]): PupilError {
  const shown = files.slice(0, 8).join(', ') + (files.length > 8 ? `, and ${files.length - 8} more` : '');
  const good =
    lastCheckpoint === undefined
      ? 'no checkpoint was saved before it'
      : `the last good checkpoint is ${lastCheckpoint}`;
  const batch = files.length > 0 ? `; its batch: ${shown}` : '';
  return new PupilError(
    'diverged',
    `training diverged: ${what}${batch}; ${good}; lower \`lr\`, or clip gradients with \`clipNorm: 1\``,
  );
}

/**
 * Throws `diverged` when a tensor holds a value that is not finite, so that no such checkpoint
 * replaces a good one.
 */
function checkFinite(tensors: ReadonlyMap<string, Tensor>, step: number, lastCheckpoint: string | undefined): void {
  for (const [name, { dtype, data }] of tensors) {
    if (dtype !== 'float32') continue;
    // x - x is 0 for finite x and NaN otherwise.
    let sum = 0;
    for (const x of data as Float32Array) sum += x - x;
    if (sum !== 0) throw diverged(`${name} is not finite after step ${step}`, lastCheckpoint, []);
  }
}
