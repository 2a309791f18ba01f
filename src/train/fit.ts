import { performance } from 'node:perf_hooks';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { Evaluation, FitPosition, FitEvent } from './events.js';
import { compileStep, openFeed, type BatchSource } from './runner.js';
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
  readonly source: BatchSource;
  readonly epochs: number;
  /** Base learning rate; the schedule and the groups scale it. */
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** Evaluates the weights in the engine's store, after each epoch. */
  readonly evaluate?: (position: { readonly epoch: number; readonly step: number }) => Promise<Evaluation>;
  /** Epochs between evaluations (the last epoch is always evaluated). Default 1. */
  readonly evaluateEvery?: number;
  /** Stop after this many evaluations without a better one. */
  readonly patience?: number;
  /**
   * Time budget of the training in minutes: the number of steps is settled after the first few, so
   * that the schedule ends in time.
   */
  readonly minutes?: number;
  /** What an evaluation is expected to take, seconds: part of the time budget. Default 0. */
  readonly evaluationSeconds?: number;
  readonly signal?: AbortSignal;
  /** Saves a snapshot and returns its path. Without it there are no checkpoints. */
  readonly save?: (snapshot: FitSnapshot) => Promise<string>;
  /**
   * Seconds between checkpoints within an epoch, and at least between those of short epochs that
   * are not the best. Default 30.
   */
  readonly checkpointSeconds?: number;
  /**
   * Tensors to begin with in place of the step's initial ones: a checkpoint's, or an earlier
   * phase's.
   */
  readonly state?: ReadonlyMap<string, Tensor>;
  /** Where to go on; with the `state` of the same snapshot the run continues bit for bit. */
  readonly resume?: FitPosition;
  /** Path of the checkpoint that `resume` comes from: the last good one until another is saved. */
  readonly resumedFrom?: string;
  /**
   * A check of the state before each checkpoint is made unless false: a weight that is not finite
   * means divergence.
   */
  readonly checkState?: boolean;
}

/**
 * Steps that are timed before a time budget settles the number of steps, the first of them warming
 * up.
 */
const timedSteps = { warmUp: 2, total: 8 };

const begin: FitPosition = {
  epoch: 0,
  stepInEpoch: 0,
  step: 0,
  plannedSteps: null,
  sums: { loss: 0, correct: 0, images: 0, steps: 0 },
  best: null,
  waited: 0,
  seconds: 0,
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Trains: one engine run per batch, in the engine's worker, while the source prepares the next.
 * Yields what happens; whoever reads the events cannot change the training. Throws `diverged` when
 * the loss stops being finite, `interrupted` after an abort (the state is saved first). Returns the
 * final position.
 */
export async function* fit(options: FitOptions): AsyncGenerator<FitEvent, FitPosition, undefined> {
  const { engine, step, source, epochs, schedule, evaluate, evaluateEvery = 1, signal, save } = options;
  const names = [...step.initialState.keys()];
  checkOptions(options);
  const position: Mutable<FitPosition> = { ...(options.resume ?? begin) };
  const { observer } = source;
  if (options.state) observer?.restore(options.state);
  await engine.write(new Map(names.map((name) => [name, options.state?.get(name) ?? step.initialState.get(name)!])));
  const runner = await compileStep(engine, step);
  const stepsPerEpoch = runner.stepsPerEpoch(source);
  const everything = epochs * stepsPerEpoch;
  const totalSteps = (): number => position.plannedSteps ?? everything;
  const budget = options.minutes === undefined ? Infinity : options.minutes * 60;
  const earlier = position.seconds;
  const opened = performance.now();
  const seconds = (): number => earlier + (performance.now() - opened) / 1000;

  let lastCheckpoint = options.resumedFrom;
  let savedAt = performance.now();
  let savedStep = -1;
  const checkpoint = async function* (isBest: boolean): AsyncGenerator<FitEvent, void, undefined> {
    if (!save || (position.step === savedStep && !isBest)) return;
    const tensors = new Map([...(await engine.read(names)), ...(observer?.save() ?? [])]);
    if (options.checkState !== false) checkFinite(tensors, position.step, lastCheckpoint);
    position.seconds = seconds();
    lastCheckpoint = await save({ tensors, position: structuredClone(position), isBest });
    savedAt = performance.now();
    savedStep = position.step;
    yield { type: 'checkpoint', epoch: position.epoch, step: position.step, path: lastCheckpoint, isBest };
  };
  const due = (): boolean => performance.now() - savedAt > (options.checkpointSeconds ?? 30) * 1000;
  const interrupted = async function* (): AsyncGenerator<FitEvent, never, undefined> {
    yield* checkpoint(false);
    throw new PupilError(
      'interrupted',
      lastCheckpoint === undefined
        ? `interrupted after step ${position.step}; nothing was saved`
        : `interrupted after step ${position.step}; saved as ${lastCheckpoint}, continue with --resume`,
    );
  };

  try {
    if (options.resume?.plannedSteps === undefined || options.resume.plannedSteps === null) {
      if (budget === Infinity) position.plannedSteps = everything;
    }
    yield { type: 'start', epochs, stepsPerEpoch, totalSteps: totalSteps(), step: position.step };
    let reason: 'epochs' | 'patience' | 'minutes' = 'epochs';
    const timed: number[] = [];

    while (position.epoch < epochs) {
      // Within an epoch.
      const planned = (): boolean => position.plannedSteps !== null && position.step >= position.plannedSteps;
      if (position.stepInEpoch < stepsPerEpoch && !planned()) {
        const epochStarted = performance.now();
        const feed = openFeed(source, position.epoch, position.stepInEpoch * step.accumulate);
        try {
          while (position.stepInEpoch < stepsPerEpoch && !planned()) {
            if (signal?.aborted) return yield* interrupted();
            const started = performance.now();
            const total = totalSteps();
            const learningRate = options.learningRate * schedule(position.step, total);
            const at = { step: position.step, total, learningRate };
            const { loss, sums, badBatch } = await runner.run(at, feed, observer);
            if (badBatch)
              throw diverged(
                `the loss is ${loss} at step ${position.step + 1} (epoch ${position.epoch + 1})`,
                lastCheckpoint,
                badBatch,
              );
            const took = (performance.now() - started) / 1000;
            const images = step.batchSize * step.accumulate;
            const { correct, ...rest } = sums;
            position.step++;
            position.stepInEpoch++;
            position.sums = {
              loss: position.sums.loss + loss,
              correct: position.sums.correct + (correct ?? 0),
              images: position.sums.images + images,
              steps: position.sums.steps + 1,
            };
            position.seconds = seconds();
            if (position.plannedSteps === null) {
              timed.push(took);
              const evaluation = (options.evaluationSeconds ?? 0) / (stepsPerEpoch * evaluateEvery);
              position.plannedSteps = planSteps(timed, evaluation, position.step, everything, budget - seconds());
            }
            yield {
              type: 'step',
              epoch: position.epoch,
              step: position.step,
              totalSteps: totalSteps(),
              loss,
              accuracy: correct === undefined ? undefined : correct / images,
              metrics: Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value / step.accumulate])),
              learningRate,
              imagesPerSecond: images / took,
            };
            if (seconds() > budget * 1.05) position.plannedSteps = position.step;
            if (save && due() && position.stepInEpoch < stepsPerEpoch) yield* checkpoint(false);
          }
        } finally {
          await feed.close();
        }
        const { sums } = position;
        yield {
          type: 'epoch',
          epoch: position.epoch,
          step: position.step,
          loss: sums.loss / sums.steps,
          accuracy: step.metrics.includes('correct') ? sums.correct / sums.images : undefined,
          seconds: (performance.now() - epochStarted) / 1000,
          ...(observer && { observed: observer.summary() }),
        };
      }

      // Between epochs. The position moves on before the checkpoint, so that a resumed run does not
      // evaluate twice.
      const last = position.epoch + 1 >= epochs || planned();
      let isBest = false;
      if (signal?.aborted) return yield* interrupted();
      if (evaluate && (last || (position.epoch + 1) % evaluateEvery === 0)) {
        const { score, metrics } = await evaluate({ epoch: position.epoch, step: position.step });
        isBest = Number.isFinite(score) && (position.best === null || score > position.best.score);
        if (isBest) position.best = { epoch: position.epoch, step: position.step, score, metrics };
        position.waited = isBest ? 0 : position.waited + 1;
        yield { type: 'evaluation', epoch: position.epoch, step: position.step, score, metrics, isBest };
      }
      position.epoch++;
      position.stepInEpoch = 0;
      position.sums = begin.sums;
      if (planned() && position.step < everything) reason = 'minutes';
      else if (!last && options.patience !== undefined && position.waited >= options.patience) reason = 'patience';
      const ends = last || reason !== 'epochs';
      if (reason !== 'epochs') yield { type: 'early-stop', epoch: position.epoch - 1, step: position.step, reason };
      if (ends) position.epoch = epochs;
      if (isBest || ends || due()) {
        savedStep = -1; // the position changed even where the step did not
        yield* checkpoint(isBest);
      }
    }
    yield { type: 'done', epoch: position.epoch, step: position.step, best: position.best, seconds: seconds(), reason };
    return position;
  } finally {
    await runner.close();
  }
}

function checkOptions({ epochs, learningRate, patience, minutes, evaluateEvery = 1 }: FitOptions): void {
  const check = (what: string, value: number | undefined, valid: (x: number) => boolean, expected: string): void => {
    if (value !== undefined && !valid(value)) throw new PupilError('usage', `${what} ${value}: give ${expected}`);
  };
  const whole = (x: number): boolean => Number.isInteger(x) && x >= 1;
  check('epochs', epochs, whole, 'a whole number, 1 or more');
  check('evaluateEvery', evaluateEvery, whole, 'a whole number, 1 or more');
  check('patience', patience, whole, 'a whole number, 1 or more');
  check('learning rate', learningRate, (x) => x > 0 && Number.isFinite(x), 'a number above 0');
  check('minutes', minutes, (x) => x > 0, 'a number above 0');
}

/**
 * How many steps fit the time that is left: null until enough were timed. A tenth is kept for
 * evaluations and saving.
 */
function planSteps(
  timed: readonly number[],
  overhead: number,
  done: number,
  everything: number,
  left: number,
): number | null {
  if (everything <= done) return everything;
  if (timed.length < timedSteps.total && left > 0) return null;
  const measured = timed.slice(timedSteps.warmUp);
  const each = overhead + measured.reduce((sum, t) => sum + t, 0) / Math.max(measured.length, 1);
  return Math.min(everything, done + Math.max(0, Math.floor((0.9 * left) / each)));
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
    `training diverged: ${what}${batch}; ${good}; lower --lr, or clip gradients with --clip-norm 1`,
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
