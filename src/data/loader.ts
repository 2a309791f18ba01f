import { mixes, mixTargets, partOfMix, sampleMix, type Mix, type MixingSpec } from '../augment/mixing.js';
import type { PipelineSpec } from '../augment/pipeline.js';
import { invariant } from '../errors.js';
import { rowsOf, whole, type Slice } from '../parallel/communicator.js';
import { Random } from '../random.js';
import type { BatchTask, Location, Reading } from './batch.js';
import { planEpochs, type ShuffleName } from './epochs.js';
import type { ShardShuffle, Stored } from './shard-order.js';
import type { Target } from './target.js';
import type { Preprocessing } from './preprocessing.js';

export interface Batch {
  /** uint8 [count, height, width, 3], RGB. */
  readonly pixels: Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /**
   * float32 [count, classes]: one-hot or soft, zeros where there is no label; mixed as the images
   * are.
   */
  readonly targets: Float32Array;
  /** Of the images before mixing; -1 where there is no label. */
  readonly labels: Int32Array;
  /** Indices into the loader's samples. */
  readonly indexes: Int32Array;
  /** Those of the whole batch also where only a part is made. */
  readonly allIndexes: Int32Array;
  readonly paths: readonly string[];
  /**
   * How images and targets were mixed, if they were; partners are rows of the whole batch also where
   * only a part is made.
   */
  readonly mix: Mix | null;
  readonly epoch: number;
  /** Within the epoch, from 0. */
  readonly step: number;
}

/** What a loader needs of prepared images, wherever they are. */
export interface LoaderImages {
  /** Labels (-1: none), names for messages, and where the files lie. */
  readonly samples: readonly ({ readonly label: number; readonly path: string } & Stored)[];
  /** Where each of `samples` is. */
  readonly locations: readonly Location[];
  readonly target: Target;
  /** Makes batches: in so many threads, or with 0 where the caller waits. */
  readonly pool: { readonly workers: number; run(task: BatchTask): Promise<Uint8Array> };
}

export interface LoaderOptions {
  readonly images: LoaderImages;
  /** Number of classes. */
  readonly classes: number;
  /**
   * From an image at its prepared size to exactly `size` pixels; empty for images prepared for
   * evaluation.
   */
  readonly pipeline: PipelineSpec;
  /** CutMix and MixUp, within a batch, after the pipeline. */
  readonly mixing?: MixingSpec | undefined;
  /** Height and width of a batch. */
  readonly size: Preprocessing['size'];
  /** Images in a batch, of all ranks together. */
  readonly batchSize: number;
  /**
   * Makes only the rows of this rank, equal to those of the whole batch. The size of batches is then a
   * multiple of the number of ranks, and `dropLast` is true.
   */
  readonly slice?: Slice | undefined;
  readonly seed?: number;
  /** How an epoch is ordered (`EpochsOptions`). Default true. */
  readonly shuffle?: boolean | ShuffleName | ShardShuffle | undefined;
  /**
   * Default false: the last batch of an epoch may be smaller. With true it is left out; a set
   * smaller than one batch is repeated to fill it.
   */
  readonly dropLast?: boolean;
  /** Every class equally often. */
  readonly balance?: boolean;
  /** Soft labels: the probabilities [classes] of a sample of `images`; undefined: its own label. */
  readonly targetsOf?: ((index: number) => Float32Array | undefined) | undefined;
  /**
   * Names the random stream of the augmentation: loaders that differ in it alone give the same
   * images in other views.
   */
  readonly view?: string | undefined;
  /**
   * Only these samples of `images` (such as one fold), by index; more than once where they are to
   * be seen more often.
   */
  readonly subset?: readonly number[];
  /**
   * When given, the first batches of the next epoch below this number are made while the caller is
   * busy after an epoch.
   */
  readonly epochs?: number;
}

/**
 * Batches of a set of prepared images. The same options and seed give the same batches whatever the
 * number of workers.
 */
export interface Loader {
  readonly stepsPerEpoch: number;
  /** Images in an epoch. */
  readonly count: number;
  /**
   * The batches of an epoch from `startStep` on, made ahead by the pool's workers; equal to those
   * of an uninterrupted epoch.
   */
  batches(epoch: number, startStep?: number): AsyncGenerator<Batch, void, undefined>;
}

/** Makes a loader; it holds nothing open (the pool and the images are the caller's). */
export function createLoader(options: LoaderOptions): Loader {
  const { images, classes, batchSize, seed = 0, shuffle = true, dropLast = false, balance } = options;
  const { slice = whole } = options;
  invariant(slice.size === 1 || (dropLast && batchSize % slice.size === 0), 'ranks have equal parts of every batch');
  const mixing = options.mixing && mixes(options.mixing) ? options.mixing : undefined;
  const subset = options.subset ?? images.samples.map((_, index) => index);
  invariant(subset.length > 0, 'a loader needs at least one image');
  invariant(
    subset.every((index) => images.samples[index]!.label < classes),
    `a label is not below the number of classes, ${classes}`,
  );
  const [height, width] = options.size;
  // A function of these numbers alone: all ranks draw the same.
  const drawMix = (epoch: number, step: number, count: number): Mix | null =>
    mixing ? sampleMix(new Random(seed, 'mix', epoch, step), mixing, count, { width, height }) : null;
  const own = rowsOf(slice, batchSize);
  const ownRows = new Set(Array.from({ length: own.count }, (_, i) => own.from + i));
  const epochs = planEpochs({
    images,
    subset,
    batchSize,
    seed,
    shuffle,
    balance,
    dropLast,
    rowsOf(epoch, step) {
      const mix = slice.size > 1 ? drawMix(epoch, step, batchSize) : null;
      return mix ? new Set([...ownRows, ...partOfMix(mix, own).others]) : ownRows;
    },
  });
  const { stepsPerEpoch, count } = epochs;
  const make = (epoch: number, step: number): Promise<Batch> => {
    const all = epochs.batch(epoch, step);
    const shown = { all, readings: epochs.readings(epoch, step), mix: drawMix(epoch, step, all.length) };
    return makeBatch(options, shown, epoch, step);
  };
  const ahead = images.pool.workers === 0 ? 0 : images.pool.workers + 1;
  return { stepsPerEpoch, count, batches: madeAhead(make, { stepsPerEpoch, epochs: options.epochs ?? 0, ahead }) };
}

/** The batch of the images `all`, or a rank's part of it, step `step` of its epoch. */
async function makeBatch(
  options: LoaderOptions,
  {
    all,
    readings,
    mix,
  }: {
    readonly all: readonly number[];
    readonly readings: readonly Reading[] | undefined;
    readonly mix: Mix | null;
  },
  epoch: number,
  step: number,
): Promise<Batch> {
  const { images, classes, pipeline, batchSize, seed = 0, targetsOf, view = 'augment', slice = whole } = options;
  const [height, width] = options.size;
  const { from, count } = rowsOf(slice, all.length);
  const { others = [], mix: ownMix } = mix && slice.size > 1 ? partOfMix(mix, { from, count }) : { mix };
  const rows = [...Array.from({ length: count }, (_, i) => from + i), ...others];
  const indexes = rows.map((row) => all[row]!);
  const pixels = await images.pool.run({
    kind: 'batch',
    view,
    images: indexes.map((index) => images.locations[index]!),
    target: images.target,
    pipeline,
    width,
    height,
    seed,
    epoch,
    positions: rows.map((row) => step * batchSize + row),
    mix: ownMix,
    readings,
    wanted: count,
  });
  const labels = Int32Array.from(indexes, (index) => images.samples[index]!.label);
  const targets = new Float32Array(rows.length * classes);
  indexes.forEach((index, i) => {
    const soft = targetsOf?.(index),
      label = labels[i]!;
    if (soft) targets.set(soft, i * classes);
    else if (label >= 0) targets[i * classes + label] = 1;
  });
  if (ownMix) mixTargets(targets, ownMix);
  return {
    pixels,
    count,
    height,
    width,
    targets: targets.slice(0, count * classes),
    labels: labels.slice(0, count),
    indexes: Int32Array.from(indexes.slice(0, count)),
    allIndexes: Int32Array.from(all),
    paths: indexes.slice(0, count).map((index) => images.samples[index]!.path),
    mix,
    epoch,
    step,
  };
}

/** `Loader.batches` over `make`, which begins up to `ahead` batches before they are asked for. */
function madeAhead(
  make: (epoch: number, step: number) => Promise<Batch>,
  { stepsPerEpoch, epochs, ahead }: { stepsPerEpoch: number; epochs: number; ahead: number },
): Loader['batches'] {
  /** Batches under way, by epoch and step. */
  const pending = new Map<string, Promise<Batch>>();
  const request = (epoch: number, step: number): void => {
    const key = `${epoch}:${step}`;
    if (pending.has(key)) return;
    const batch = make(epoch, step);
    batch.catch(() => undefined); // reported when it is awaited
    pending.set(key, batch);
  };
  return async function* (epoch, startStep = 0) {
    // Leftovers of an abandoned or another epoch are dropped.
    for (const key of pending.keys())
      if (!key.startsWith(`${epoch}:`) || Number(key.split(':')[1]) < startStep) pending.delete(key);
    for (let step = startStep; step < stepsPerEpoch; step++) {
      for (let next = step; next <= step + ahead; next++) {
        if (next < stepsPerEpoch) request(epoch, next);
        else if (epoch + 1 < epochs && next - stepsPerEpoch < stepsPerEpoch) request(epoch + 1, next - stepsPerEpoch);
      }
      const key = `${epoch}:${step}`;
      const batch = await pending.get(key)!;
      pending.delete(key);
      yield batch;
    }
  };
}

/**
 * Batches for evaluation: in order, not augmented, the last one smaller. `images` have to be
 * prepared with `evaluationTarget`.
 */
export function createEvaluationLoader(
  options: Pick<LoaderOptions, 'images' | 'classes' | 'batchSize' | 'subset'>,
): Loader {
  const { target } = options.images;
  invariant(target.kind === 'evaluation', 'evaluation needs images prepared with evaluationTarget');
  return createLoader({ ...options, pipeline: [], size: target.input.size, shuffle: false });
}
