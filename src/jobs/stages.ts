/** One technique trained on every part of the data, and how two of them compare. */
import type { Accuracy, Metrics, Reported, RunResult } from '../artifact/formats.js';
import { dropCheckpoints } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import type { Pool } from '../data/pool.js';
import { effectiveCount, independence, independentOf, intervalOf, meanInterval } from '../evaluate/metrics.js';
import { PupilError } from '../errors.js';
import type { StepsTime } from '../runs/context.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { tap } from '../runs/relay.js';
import type { OpenModel } from '../runs/open-once.js';
import { useful, type TrainOptions } from '../runs/resolve.js';
import type { Shared } from '../runs/train.js';
import { isFrozen } from '../options/option.js';
import { trainInCrew, type Crew } from './crew.js';
import { pathFor, type Part } from './parts.js';
import { trainTogether, type Sharing } from './shared-stages.js';
import { trainSideBySide, type AtOnce } from './side-by-side.js';

export interface Stage {
  readonly name: string;
  /** The run on the whole, and those of all parts by the part's folder. */
  readonly run: string;
  readonly runs: ReadonlyMap<string, string>;
  readonly result: TrainResult;
  /** Which selection images it is right on, by path, over all parts that decide. */
  readonly right: ReadonlyMap<string, boolean>;
  /** What copies among them, and those that look nearly the same, share; without those that are alone. */
  readonly groups: Groups;
  /** On those images; the interval is that of a share of so many, or of as many independent ones as they count for. */
  readonly selection: Accuracy & { readonly count: number; readonly interval: number };
  readonly seconds: number;
  /** Those that a training of this session took beside its steps, in the mean; absent without one. */
  readonly beside?: number | undefined;
  /** Whether it has seen something of the labels that were held out. */
  readonly optimistic?: boolean | undefined;
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
  /** `together`: where all parts are begun at this moment, so many at once. */
  readonly optionsFor: (part: Part, together?: number) => TimedOptions;
  /** What a run that goes on is told anew. */
  readonly machine: TrainOptions;
  /** Where decoded images are shared. */
  readonly pool: Pool;
  readonly open?: OpenModel | undefined;
  /** Those that train together; default this process alone. */
  readonly crew?: Crew | undefined;
  /** How parts are shared with other processes; default not at all. */
  readonly sharing?: Sharing | undefined;
  /** How many parts are trained at once where they are not shared; default one after the other. */
  readonly atOnce?: AtOnce | undefined;
  /** Warnings of the stages before, which are not given again; those of this one are added. */
  readonly told?: Set<string> | undefined;
}

/**
 * Trains part after part, some at once, or shares them with other processes. What is finished is not trained again and
 * keeps no checkpoints; what was interrupted goes on.
 */
export async function* runStage(options: StageOptions): AsyncGenerator<RunEvent, Stage, undefined> {
  const { name, folder, parts } = options;
  const besides: number[] = [];
  const sharing = parts.length > 1 ? options.sharing : undefined,
    beside = sharing ? undefined : besideEachOther(options);
  const isTogether = sharing !== undefined || beside !== undefined;
  const secondsBefore = isTogether ? await secondsIn(parts.map((part) => pathFor(part, folder))) : 0,
    began = performance.now();
  if (sharing) yield* shareParts(options, sharing, besides);
  else if (beside) yield* beside(besides);
  else for (const part of parts) yield* trainPart(options, part, besides);
  const runs = new Map<string, string>(),
    right = new Map<string, boolean>(),
    groups = new Map<string, string>();
  let seconds = 0,
    completed: number | undefined,
    result: TrainResult | undefined;
  for (const part of parts) {
    const out = pathFor(part, folder);
    await dropCheckpoints(out);
    runs.set(part.folder, out);
    result = (await runFiles.result.read(out)) as TrainResult;
    seconds += result.seconds;
    if (result.completed !== undefined) completed = Math.min(completed ?? 1, result.completed);
    if (!part.decides) continue;
    for (const image of (await runFiles.selection.read(out))!.images) {
      right.set(image.path, image.right);
      if (image.group !== undefined) groups.set(image.path, image.group);
    }
  }
  const top1 = [...right.values()].filter(Boolean).length / Math.max(right.size, 1),
    independent = effectiveCount([...right.keys()].map((path) => groups.get(path))),
    size = { count: right.size, ...independence(right.size, independent) };
  return {
    name,
    run: folder,
    runs,
    result: result!,
    right,
    groups,
    // Several at once take no longer than one of them.
    seconds: isTogether ? secondsBefore + (performance.now() - began) / 1000 : seconds,
    completed,
    beside: besides.length === 0 ? undefined : besides.reduce((sum, one) => sum + one, 0) / besides.length,
    selection: { top1, ...size, ...(size.count > 0 ? intervalOf(top1, independentOf(size)) : { interval: 0 }) },
  };
}

/** What the finished ones of these runs took, one after the other. */
async function secondsIn(runs: readonly string[]): Promise<number> {
  const results = await Promise.all(runs.map((run) => runFiles.result.read(run)));
  return results.reduce((sum, result) => sum + (result?.seconds ?? 0), 0);
}

/** The trainings of a stage at once, where its parts are trained by descent: closed forms use all threads. */
function besideEachOther(
  options: StageOptions,
): ((besides: number[]) => AsyncGenerator<RunEvent, void, undefined>) | undefined {
  const { parts, optionsFor, machine } = options;
  const { trainings, threads } = options.atOnce ?? { trainings: 1 };
  if (trainings === 1) return undefined;
  const told = new Map(parts.map((part) => [part, { ...optionsFor(part, trainings), threads }]));
  if (isFrozen(told.get(parts.at(-1)!)!.mode)) return undefined;
  // One that goes on alone has no more threads than it began with: sums depend on their number.
  const stage = { ...options, machine: { ...machine, threads } };
  return (besides) =>
    trainSideBySide(parts, {
      trainings,
      signal: machine.signal,
      train: (part, ending) => trainPart(stage, part, besides, { told: told.get(part), ending }),
    });
}

/** The parts are trained by this process and those that share them. */
function shareParts(
  options: StageOptions,
  sharing: Sharing,
  besides: number[],
): AsyncGenerator<RunEvent, void, undefined> {
  const { name, folder, parts, optionsFor } = options;
  const offered = new Map<Part, TimedOptions>();
  return trainTogether(sharing, parts, {
    outOf: (part) => pathFor(part, folder),
    offer(part, together) {
      const { time: _, ...told } = optionsFor(part, together);
      // The last one is begun when those before it are, and has what time is left then.
      if (together > 1 && part !== parts.at(-1)) offered.set(part, optionsFor(part, together));
      return { title: titleOf(name, part), options: partOptions(options, part, told) };
    },
    train: (part, ending) => trainPart(options, part, besides, { told: offered.get(part), ending }),
  });
}

/** Options of a part's training. */
function partOptions(
  { folder, parts }: Pick<StageOptions, 'folder' | 'parts'>,
  part: Part,
  options: TrainOptions,
): TrainOptions {
  const before = parts.slice(0, parts.indexOf(part));
  return useful({
    ...options,
    ...(part.name === '' ? {} : { preview: false, rejection: false }),
    calibrateOn: before.length > 0 && !part.decides ? before.map((fold) => pathFor(fold, folder)) : undefined,
    out: pathFor(part, folder),
  });
}

/** What people read of a part's training. */
const titleOf = (stage: string, { name }: Part): string => (name === '' ? stage : `${stage}, ${name}`);

/** Trains on a part, unless that is done. Adds to `besides` the seconds that it took beside its steps. */
async function* trainPart(
  stage: StageOptions,
  part: Part,
  besides: number[],
  { told, ending }: { readonly told?: TimedOptions | undefined; readonly ending?: Shared['ending'] } = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const { name, folder, optionsFor, machine, pool, open, crew, told: warned = new Set() } = stage;
  const out = pathFor(part, folder);
  if (!(await runFiles.result.exists(out))) {
    const isBegun = await runFiles.config.exists(out);
    const { time, ...options } = told ?? optionsFor(part);
    let isEnding = false;
    const events = trainInCrew(crew, part.data, {
      mode: options.mode,
      told: isBegun ? { ...machine, resume: out } : partOptions(stage, part, options),
      pool,
      open,
      time,
      ending:
        ending &&
        async function* () {
          isEnding = true;
          yield* ending();
          isEnding = false;
        },
    });
    const began = performance.now();
    let steps = 0;
    yield* tap(events, (event) => {
      if (isEnding) return event;
      if (event.type === 'done') steps += event.seconds;
      return asEventOf(titleOf(name, part), event, warned);
    });
    // One that went on counts the steps of sessions before; one that waited was not at work.
    if (steps > 0 && !isBegun && !ending) besides.push((performance.now() - began) / 1000 - steps);
    await dropCheckpoints(out);
  }
}

/** An event of a training as one of the whole: its phases by their stage, no warning about the same (`told`) twice. */
export function asEventOf(title: string, event: RunEvent, told: Set<string>): RunEvent | undefined {
  if (event.type === 'plan' || event.type === 'note') return undefined;
  if (event.type === 'warning') {
    const about = event.about ?? event.message;
    if (told.has(about)) return undefined;
    told.add(about);
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
    test: test && { top1: test.top1, ...sizeOf(test), ...endsOf(test), split },
  };
}

/** Of its 95% interval. */
function endsOf({ top1, count, independent = count }: Metrics): Pick<Reported, 'low' | 'high'> {
  if (independent === 0) return {};
  const { low, high } = intervalOf(top1, independent);
  return { low, high };
}

/** On how many images, and as how many independent ones these count, where they are fewer. */
const sizeOf = ({ count, independent }: Metrics): Pick<Metrics, 'count' | 'independent'> => ({
  count,
  ...independence(count, independent ?? count),
});

/** Which images, by a name, a model is right on, or in which share of several trainings. */
type RightOn = ReadonlyMap<string, boolean | number>;

/** What images that are copies share, by the name of each. */
type Groups = ReadonlyMap<string, string>;

/** How much more often one stage is right than another that was there before. */
export const stageGain = (before: Stage, after: Stage): { mean: number; interval: number } =>
  pairedGain(before.right, after.right, after.groups);

/**
 * How much more often `after` is right than `before` on the same images: the mean difference with
 * its 95% interval.
 */
export function pairedGain(
  before: RightOn,
  after: RightOn,
  groups: Groups = new Map(),
): { mean: number; interval: number } {
  const both = [...after].filter(([path]) => before.has(path));
  const differences = both.map(([path, right]) => Number(right) - Number(before.get(path)));
  const { mean, interval } = meanInterval(
    differences,
    both.map(([path]) => groups.get(path)),
  );
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
