/** Which of two models is better: both on the same images, image by image. */
import { performance } from 'node:perf_hooks';
import type { ImageResult } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { counted } from '../data/dataset.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { evaluate } from '../evaluate/evaluate.js';
import { loadModel } from '../evaluate/load.js';
import { effectiveCount, independence, independentOf, intervalOf } from '../evaluate/metrics.js';
import { comparePaired, type PairedComparison } from '../evaluate/paired.js';
import { Job } from '../job.js';
import { checkOptions, knownTo, withSignal, type Asked } from '../options/option.js';
import { compareOptions, loadOptions, measureOptions, type CompareOptions } from '../options/tools.js';
import type { RunEvent } from '../runs/events.js';
import { relaying } from '../runs/relay.js';

/** One of the models on the images that all have in common. */
export interface ComparedRun {
  /** As it was given. */
  readonly run: string;
  readonly top1: number;
  /** Half-width of its 95% interval. */
  readonly interval: number;
  /** The ends of that. */
  readonly low: number;
  readonly high: number;
  /** How many of the images it learned from, where that is known: it is no measure of these. */
  readonly learned?: number | undefined;
}

/** A model against the first. */
export interface Comparison extends PairedComparison {
  readonly run: string;
  readonly against: string;
  /** Images on which the two differ in being right. */
  readonly differences: readonly {
    readonly path: string;
    readonly label: string;
    /** What the first says, and what this one says. */
    readonly predicted: readonly [first: string, second: string];
  }[];
}

/** What `compare --json` prints. */
export interface CompareResult {
  /** Images that all were measured on. */
  readonly count: number;
  /** As how many independent ones they count, in intervals and tests; absent: none is a copy of another. */
  readonly independent?: number | undefined;
  /** In the order that they were given. */
  readonly runs: readonly ComparedRun[];
  /** Of each but the first. */
  readonly comparisons: readonly Comparison[];
  readonly seconds: number;
}

/** What a model said of images, by path. */
interface Answers {
  readonly run: string;
  readonly images: ReadonlyMap<string, ImageResult>;
  readonly learned?: number | undefined;
  /** Of the data of its run. */
  readonly dataHash?: string | undefined;
}

/**
 * Compares models with the first of them, image by image: on labelled images (a path or an opened
 * data set), or else on those that their runs were measured on. Throws PupilErrors: `usage` for
 * less than two models, `not-found`, `bad-data` (no images in common), `bad-model`...
 *
 * @example
 * const { comparisons } = await compare(['runs/a', 'runs/b'], 'photos');
 * const { gain, interval, p } = comparisons[0]!;
 */
export function compare(
  models: readonly string[],
  data?: string | Dataset,
  options: Asked<CompareOptions> = {},
): Job<RunEvent, CompareResult> {
  return new Job(async function* (signal) {
    return yield* compareAll(models, data, checkOptions(compareOptions, withSignal(options, signal)));
  }, options);
}

async function* compareAll(
  models: readonly string[],
  data: string | Dataset | undefined,
  { out: _, ...options }: CompareOptions,
): AsyncGenerator<RunEvent, CompareResult, undefined> {
  const started = performance.now();
  if (models.length < 2)
    throw new PupilError('usage', 'compare takes two models or more: run folders, or model files with data');
  if (data === undefined) refuseUseless(options);
  const all: Answers[] = [];
  for (const model of models)
    all.push(data === undefined ? await answersOf(model) : yield* measured(model, data, options));
  const paths = [...all[0]!.images.keys()].filter((path) => all.every(({ images }) => images.has(path)));
  yield* assertComparable(all, paths);
  const rightOf = ({ images }: Answers): boolean[] =>
    paths.map((path) => images.get(path)!.predicted === images.get(path)!.label);
  const groups = paths.map((path) => all.map(({ images }) => images.get(path)!.group).find((one) => one !== undefined));
  const size = { count: paths.length, ...independence(paths.length, effectiveCount(groups)) };
  const runs = all.map((answers): ComparedRun => {
    const top1 = rightOf(answers).filter(Boolean).length / paths.length;
    return { run: answers.run, top1, ...intervalOf(top1, independentOf(size)), learned: answers.learned };
  });
  const [first, ...others] = all as [Answers, ...Answers[]];
  const comparisons = others.map((other): Comparison => {
    const [before, after] = [rightOf(first), rightOf(other)];
    const differences = paths
      .filter((_, i) => before[i] !== after[i])
      .map((path) => {
        const [one, two] = [first.images.get(path)!, other.images.get(path)!];
        return { path, label: one.label, predicted: [one.predicted, two.predicted] as const };
      });
    return { run: other.run, against: first.run, ...comparePaired(before, after, groups), differences };
  });
  return { ...size, runs, comparisons, seconds: (performance.now() - started) / 1000 };
}

/** Nothing is computed where runs have been measured already. */
function refuseUseless({ signal: _, ...options }: CompareOptions): void {
  const option = Object.entries(options).find(([, value]) => value !== undefined)?.[0];
  if (option !== undefined)
    throw new PupilError('usage', `\`${option}\` has no use without data: the runs were measured already`, { option });
}

/** What the evaluation of a run says. */
async function answersOf(run: string): Promise<Answers> {
  const evaluation = await runFiles.evaluation.read(run).catch((error: unknown) => {
    if (error instanceof PupilError) throw error;
    return undefined; // a file, not a folder
  });
  if (evaluation === undefined)
    throw new PupilError(
      'not-found',
      `${run} has no ${runFiles.evaluation.name}: it is no run, or nothing was held out to measure it on; name ` +
        'labelled images to compare on',
    );
  const config = await runFiles.config.read(run);
  return {
    run,
    dataHash: config?.dataHash,
    images: new Map(evaluation.predictions.map((image) => [image.path, image])),
  };
}

/** What a model says of images now. */
async function* measured(
  source: string,
  data: string | Dataset,
  options: CompareOptions,
): AsyncGenerator<RunEvent, Answers, undefined> {
  return yield* relaying(async (emit) => {
    const onWarning = (message: string): void => emit({ type: 'warning', message });
    const model = await loadModel(source, { ...knownTo(loadOptions, options), purpose: 'evaluation', onWarning });
    try {
      const { images, learned, unreadable } = await evaluate(model, data, {
        ...knownTo(measureOptions, options),
        onProgress: (done, total) => {
          options.signal?.throwIfAborted();
          emit({ type: 'progress', what: `evaluating ${source}`, unit: 'images', done: Math.floor(done), total });
        },
      });
      if (unreadable.length > 0)
        onWarning(`${counted(unreadable.length, 'file')} could not be decoded and do not count`);
      return { run: source, learned, images: new Map(images.map((image) => [image.path, image])) };
    } finally {
      await model.close();
    }
  });
}

/**
 * Throws `bad-data` where there are no images in common, or labels differ; warns where only some
 * are.
 */
async function* assertComparable(
  all: readonly Answers[],
  paths: readonly string[],
): AsyncGenerator<RunEvent, void, undefined> {
  if (paths.length === 0)
    throw new PupilError(
      'bad-data',
      `${all.map(({ run }) => run).join(' and ')} were measured on no image in common; name labelled ` +
        'images to compare on',
    );
  const [first, ...others] = all as [Answers, ...Answers[]];
  for (const { run, images, dataHash } of others) {
    const changed = paths.find((path) => images.get(path)!.label !== first.images.get(path)!.label);
    if (changed !== undefined)
      throw new PupilError(
        'bad-data',
        `${changed} is ${first.images.get(changed)!.label} for ${first.run} and ${images.get(changed)!.label} for ` +
          `${run}; name labelled images to compare on`,
      );
    if (dataHash !== first.dataHash)
      yield {
        type: 'warning',
        message: `${run} and ${first.run} had different images or labels: those with the same path are compared`,
      };
  }
  const most = Math.max(...all.map(({ images }) => images.size));
  if (paths.length < most)
    yield {
      type: 'warning',
      message: `compared on the ${counted(paths.length, 'image')} that all were measured on, of up to ${most}`,
    };
}
