/** One technique trained on every part of the data, and how two of them compare. */
import type { Reported, RunResult } from '../artifact/formats.js';
import { dropCheckpoints } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import type { Pool } from '../data/pool.js';
import { meanInterval, shareInterval } from '../evaluate/metrics.js';
import { PupilError } from '../errors.js';
import type { StepsTime } from '../runs/context.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { tap } from '../runs/relay.js';
import type { OpenModel } from '../runs/open-once.js';
import { useful, type TrainOptions } from '../runs/resolve.js';
import { trainInCrew, type Crew } from './crew.js';
import { pathFor, type Part } from './parts.js';

export interface Stage {
  readonly name: string;
  /** The run on the whole, and those of all parts by the part's folder. */
  readonly run: string;
  readonly runs: ReadonlyMap<string, string>;
  readonly result: TrainResult;
  /** Which selection images it is right on, by path, over all parts that decide. */
  readonly right: ReadonlyMap<string, boolean>;
  /** On those images; the interval is that of a share of so many. */
  readonly selection: { readonly top1: number; readonly interval: number; readonly count: number };
  readonly seconds: number;
  /** Those that a training of this session took beside its steps, in the mean; absent without one. */
  readonly beside?: number | undefined;
  /** The least share of its steps that a training made before its time was up; absent: each made all. */
  readonly completed?: number | undefined;
}

/** Options of a training, and its time where that is the job's to say. */
export interface TimedOptions extends TrainOptions {
  readonly time?: StepsTime | undefined;
}

export interface StageOptions {
  readonly name: string;
  /** Where its run on the whole goes; those on parts go beside it. */
  readonly folder: string;
  readonly parts: readonly Part[];
  readonly optionsFor: (part: Part) => TimedOptions;
  /** What a run that goes on is told anew. */
  readonly machine: TrainOptions;
  /** Where decoded images are shared. */
  readonly pool: Pool;
  readonly open?: OpenModel | undefined;
  /** Those that train together; default this process alone. */
  readonly crew?: Crew | undefined;
  /** Warnings of the stages before, which are not given again; those of this one are added. */
  readonly told?: Set<string> | undefined;
}

/**
 * Trains part after part. What is finished is not trained again and keeps no checkpoints; what was
 * interrupted goes on.
 */
export async function* runStage({
  name,
  folder,
  parts,
  optionsFor,
  machine,
  pool,
  open,
  crew,
  told = new Set(),
}: StageOptions): AsyncGenerator<RunEvent, Stage, undefined> {
  const runs = new Map<string, string>(),
    right = new Map<string, boolean>();
  const besides: number[] = [];
  let seconds = 0,
    completed: number | undefined,
    result: TrainResult | undefined;
  for (const part of parts) {
    const out = pathFor(part, folder);
    if (!(await runFiles.result.exists(out))) {
      const isBegun = await runFiles.config.exists(out);
      const { time, ...options } = optionsFor(part);
      const events = trainInCrew(crew, part.data, {
        mode: options.mode,
        told: isBegun
          ? { ...machine, resume: out }
          : useful({
              ...options,
              ...(part.name === '' ? {} : { preview: false, rejection: false }),
              calibrateOn: runs.size > 0 && !part.decides ? [...runs.values()] : undefined,
              out,
            }),
        pool,
        open,
        time,
      });
      const began = performance.now();
      let steps = 0;
      yield* tap(events, (event) => {
        if (event.type === 'done') steps += event.seconds;
        return asEventOf(part.name === '' ? name : `${name}, ${part.name}`, event, told);
      });
      // One that went on counts the steps of sessions before.
      if (steps > 0 && !isBegun) besides.push((performance.now() - began) / 1000 - steps);
    }
    await dropCheckpoints(out);
    runs.set(part.folder, out);
    result = (await runFiles.result.read(out)) as TrainResult;
    seconds += result.seconds;
    if (result.completed !== undefined) completed = Math.min(completed ?? 1, result.completed);
    if (!part.decides) continue;
    for (const image of (await runFiles.selection.read(out))!.images) right.set(image.path, image.right);
  }
  const count = right.size,
    top1 = [...right.values()].filter(Boolean).length / Math.max(count, 1);
  const interval = count > 0 ? shareInterval(top1, count) : 0;
  return {
    name,
    run: folder,
    runs,
    result: result!,
    right,
    seconds,
    completed,
    beside: besides.length === 0 ? undefined : besides.reduce((sum, one) => sum + one, 0) / besides.length,
    selection: { top1, count, interval },
  };
}

/** An event of a training as one of the whole: its phases by their stage, no warning (`told`) twice. */
function asEventOf(title: string, event: RunEvent, told: Set<string>): RunEvent | undefined {
  if (event.type === 'plan' || event.type === 'note') return undefined;
  if (event.type === 'warning') {
    if (told.has(event.message)) return undefined;
    told.add(event.message);
  }
  if (event.type !== 'phase') return event;
  // Folds have phases of their own; what runs here is named by the stage and the part.
  const isUsual = event.name === 'training' || event.name === 'fine-tuning';
  return { ...event, name: isUsual ? title : `${title}: ${event.name}` };
}

/**
 * What went wrong with the images or the training of a stage, though not with the program: the
 * stages before it stand. Anything else (a wrong option, an interruption, a bug) is thrown on.
 */
export function failureOf(error: unknown): string {
  if (error instanceof PupilError && (error.code === 'bad-data' || error.code === 'diverged')) return error.message;
  throw error;
}

/**
 * What a stage gave, as rungs and rounds state it: on the images that decide, and on those for the
 * report only.
 */
export function accuraciesOf(
  { selection, result }: Stage,
  reportOn: TrainOptions['reportOn'],
): { readonly selection: Stage['selection'] | undefined; readonly test: Reported | undefined } {
  const split = result.test ? 'test' : 'val';
  const test = result.test ?? (reportOn === 'val' ? result.val : undefined);
  return {
    selection: selection.count > 0 ? selection : undefined,
    test: test && { top1: test.top1, count: test.count, split },
  };
}

/** How often a stage is right whose model only guesses. */
export const rightAsGuessing = ({ selection: { top1, count } }: Pick<Stage, 'selection'>, classes: number): string =>
  `right on ${Math.round(top1 * count)} of ${count} held-out images, no better than guessing one of ${classes} classes`;

/** Which images, by a name, a model is right on, or in which share of several trainings. */
type RightOn = ReadonlyMap<string, boolean | number>;

/**
 * How much more often `after` is right than `before` on the same images: the mean difference with
 * its 95% interval.
 */
export function pairedGain(before: RightOn, after: RightOn): { mean: number; interval: number } {
  const differences = [...after].flatMap(([path, right]) => {
    const was = before.get(path);
    return was === undefined ? [] : [Number(right) - Number(was)];
  });
  const { mean, interval } = meanInterval(differences);
  return { mean, interval: Number.isNaN(interval) ? 1 : interval };
}

/** A training's result without where and how long it ran, which is the chain's to say. */
export function omitRun({
  run: _,
  seconds: __,
  completed: ___,
  ...result
}: TrainResult): Omit<TrainResult, keyof RunResult | 'completed'> {
  return result;
}
