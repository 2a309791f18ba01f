import { mixes, mixTargets, sampleMix, type Mix, type MixingSpec } from '../augment/mixing.js';
import type { PipelineSpec } from '../augment/pipeline.js';
import { invariant, PupilError } from '../errors.js';
import { Random } from '../random.js';
import { cycle, epochOrder } from './order.js';
import type { PreparedImages } from './prepare.js';
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
  readonly paths: readonly string[];
  /** How images and targets were mixed, if they were. */
  readonly mix: Mix | null;
  readonly epoch: number;
  /** Within the epoch, from 0. */
  readonly step: number;
}

export interface LoaderOptions {
  readonly images: PreparedImages;
  /** Number of classes. */
  readonly classes: number;
  /**
   * From an image at its prepared size to exactly `size` pixels; empty for images prepared for
   * evaluation.
   */
  readonly pipeline: PipelineSpec;
  /** CutMix and MixUp, within a batch, after the pipeline. */
  readonly mixing?: MixingSpec;
  /** Height and width of a batch. */
  readonly size: Preprocessing['size'];
  readonly batchSize: number;
  readonly seed?: number;
  /** Default true. */
  readonly shuffle?: boolean;
  /**
   * Default false: the last batch of an epoch may be smaller. With true it is left out; a set
   * smaller than one batch is repeated to fill it.
   */
  readonly dropLast?: boolean;
  /** Every class equally often. */
  readonly balance?: boolean;
  /** Soft labels: the probabilities [classes] of a sample of `images`; undefined: its own label. */
  readonly targetsOf?: (index: number) => Float32Array | undefined;
  /**
   * Names the random stream of the augmentation: loaders that differ in it alone give the same
   * images in other views.
   */
  readonly view?: string;
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
  const {
    images,
    classes,
    pipeline,
    size: [height, width],
    batchSize,
    seed = 0,
    shuffle = true,
    dropLast = false,
    balance,
    epochs = 0,
    targetsOf,
    view = 'augment',
  } = options;
  const mixing = options.mixing && mixes(options.mixing) ? options.mixing : undefined;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new PupilError('usage', `batch size ${batchSize}: give a whole number, 1 or more`);
  const subset = options.subset ?? images.samples.map((_, index) => index);
  invariant(subset.length > 0, 'a loader needs at least one image');
  const labels = subset.map((index) => images.samples[index]!.label);
  invariant(
    labels.every((label) => label < classes),
    `a label is not below the number of classes, ${classes}`,
  );
  const fill = dropLast && subset.length < batchSize;
  const stepsPerEpoch = fill
    ? 1
    : dropLast
      ? Math.floor(subset.length / batchSize)
      : Math.ceil(subset.length / batchSize);
  const ahead = images.pool.workers === 0 ? 0 : images.pool.workers + 1;

  const orders = new Map<number, readonly number[]>();
  const orderOf = (epoch: number): readonly number[] => {
    let order = orders.get(epoch);
    if (order === undefined) {
      const positions = epochOrder(labels, epoch, { seed, shuffle, ...(balance !== undefined && { balance }) });
      if (fill) positions.push(...cycle(positions, batchSize - positions.length, new Random(seed, 'fill', epoch)));
      order = positions.map((position) => subset[position]!);
      if (orders.size >= 2) orders.delete(orders.keys().next().value!);
      orders.set(epoch, order);
    }
    return order;
  };

  async function make(epoch: number, step: number): Promise<Batch> {
    const position = step * batchSize;
    const chosen = orderOf(epoch).slice(position, position + batchSize);
    const count = chosen.length;
    const mix = mixing ? sampleMix(new Random(seed, 'mix', epoch, step), mixing, count, { width, height }) : null;
    const pixels = await images.pool.run({
      kind: 'batch',
      view,
      images: chosen.map((index) => images.locations[index]!),
      target: images.target,
      pipeline,
      width,
      height,
      seed,
      epoch,
      position,
      mix,
    });
    const targets = new Float32Array(count * classes);
    const batchLabels = Int32Array.from(chosen, (index) => images.samples[index]!.label);
    chosen.forEach((index, i) => {
      const soft = targetsOf?.(index),
        label = batchLabels[i]!;
      if (soft) targets.set(soft, i * classes);
      else if (label >= 0) targets[i * classes + label] = 1;
    });
    if (mix) mixTargets(targets, mix);
    return {
      pixels,
      count,
      height,
      width,
      targets,
      labels: batchLabels,
      indexes: Int32Array.from(chosen),
      paths: chosen.map((index) => images.samples[index]!.path),
      mix,
      epoch,
      step,
    };
  }

  /** Batches under way, by epoch and step. */
  const pending = new Map<string, Promise<Batch>>();
  const request = (epoch: number, step: number): void => {
    const key = `${epoch}:${step}`;
    if (pending.has(key)) return;
    const batch = make(epoch, step);
    batch.catch(() => undefined); // reported when it is awaited
    pending.set(key, batch);
  };

  return {
    stepsPerEpoch,
    count: fill ? batchSize : dropLast ? stepsPerEpoch * batchSize : subset.length,
    async *batches(epoch, startStep = 0) {
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
    },
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
