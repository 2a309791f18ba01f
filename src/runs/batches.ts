/** Batches of a training, from the views that its technique declares. */
import { parseAugment } from '../augment/policy.js';
import type { PipelineSpec } from '../augment/pipeline.js';
import type { ShuffleName } from '../data/epochs.js';
import { createLoader, type Batch, type Loader } from '../data/loader.js';
import { usualShuffle, type ShardShuffle } from '../data/shard-order.js';
import type { Model } from '../models/model.js';
import { techniqueOf } from '../techniques/index.js';
import { whole, type Slice } from '../parallel/communicator.js';
import { resizePixels, teacherLogits, type Teacher } from '../techniques/teacher.js';
import { countOf, optionsOf, type View } from '../techniques/technique.js';
import { concatenate, float32, type Tensor } from '../tensor.js';
import type { BatchSource } from '../train/runner.js';
import { imagePipeline, mixingOf, type AugmentationSettings } from './augmentation.js';
import type { RunImages } from './images.js';
import type { FixedSettings } from './phases.js';

/** What the batches of a training are made from. */
export interface BatchContext {
  readonly model: Model;
  readonly images: RunImages;
  readonly settings: FixedSettings;
  /**
   * Labelled images to learn from: indexes into `images.training ?? images.evaluation`, as all
   * others here.
   */
  readonly learnFrom: readonly number[];
  /** Labelled images in a batch, of all ranks together. */
  readonly batchSize: number;
  /** Whose part of every batch is made; default all of it. */
  readonly slice?: Slice | undefined;
  /** Networks to learn from, ready to run. */
  readonly teachers: readonly Teacher[];
  /** Epochs done before this part of the training, and how many there are in all. */
  readonly firstEpoch: number;
  readonly epochs: number;
}

/**
 * Views side by side, in one `pixels` uint8 [sum of their counts, H, W, 3]; each begins again when
 * it has been through its images. An epoch is once through the view that has most to show.
 */
export function batchesOf(context: BatchContext): BatchSource {
  const { images, settings, firstEpoch, learnFrom } = context;
  const technique = techniqueOf(settings),
    { views } = technique;
  const loaders = views.map((view, i) => loaderOf(context, view, { first: i === 0, alone: views.length === 1 }));
  const stepsPerEpoch = Math.max(...loaders.map((loader) => loader.stepsPerEpoch));
  const observer = technique.observer?.(
    {
      classes: images.dataset.classes,
      samples: (images.training ?? images.evaluation).samples,
      unlabelled: indexesOf('unlabelled', images, learnFrom),
    },
    optionsOf(technique, settings),
  );
  return {
    stepsPerEpoch,
    observer,
    async *batches(epoch, startStep) {
      const from = (firstEpoch + epoch) * stepsPerEpoch;
      const streams = loaders.map((loader) => endless(loader, from + startStep));
      try {
        for (let step = startStep; step < stepsPerEpoch; step++) {
          const batches = (await Promise.all(streams.map((stream) => stream.next()))).map(({ value }) => value);
          yield {
            feeds: await feedsOf(context, batches),
            files: batches.flatMap(({ paths }) => paths),
            views: Object.fromEntries(views.map(({ name }, i) => [name, batches[i]!])),
          };
        }
      } finally {
        for (const stream of streams) await stream.return(undefined as never);
      }
    },
  };
}

/** Which images a view shows. */
function indexesOf(shown: View['images'], { unlabelled, pseudo }: RunImages, learnFrom: readonly number[]): number[] {
  if (shown === 'labelled') return [...learnFrom];
  if (shown === 'all') return [...learnFrom, ...unlabelled];
  if (shown === 'unlabelled') return [...unlabelled, ...learnFrom];
  return [...(pseudo?.indexes ?? [])];
}

/**
 * The loader of a view. The first view is drawn from the run's own random stream; others have
 * streams of their own, so that they vary the same images otherwise.
 */
function loaderOf(
  { images, model, settings, learnFrom, batchSize, epochs, slice = whole }: BatchContext,
  view: View,
  { first, alone }: { readonly first: boolean; readonly alone: boolean },
): Loader {
  const augmentation: AugmentationSettings =
    view.augment === 'augment' ? settings : { augment: policyOf(view.augment, settings), flip: settings.flip };
  const mixing = mixingOf(augmentation);
  const input = images.view ?? model.preprocessing;
  const pipeline: PipelineSpec = images.training ? imagePipeline(augmentation, input) : [];
  const pseudo = view.images === 'pseudo-labelled' ? images.pseudo?.targets : undefined;
  return createLoader({
    images: images.training ?? images.evaluation,
    classes: images.dataset.classes.length,
    batchSize: countOf(view, batchSize, settings.unlabelledRatio ?? 1),
    subset: indexesOf(view.images, images, learnFrom),
    size: input.size,
    pipeline,
    mixing,
    seed: settings.seed,
    dropLast: true,
    slice,
    shuffle: shuffleOf(settings),
    balance: settings.balance && (view.images === 'labelled' || view.images === 'all'),
    epochs: alone ? epochs : Infinity,
    targetsOf: pseudo && ((index) => pseudo.get(index)),
    view: first ? undefined : view.name,
  });
}

const policyOf = (augment: 'weak' | 'strong', { strong }: FixedSettings): FixedSettings['augment'] =>
  augment === 'strong' && strong ? strong : parseAugment(augment);

const shuffleOf = ({ shuffle, shuffleBuffer }: FixedSettings): true | ShuffleName | ShardShuffle =>
  shuffle === 'shards' && shuffleBuffer !== undefined
    ? { ...usualShuffle, buffer: shuffleBuffer * 2 ** 20 }
    : (shuffle ?? true);

/** The batches of a loader from a step counted over all epochs on, without end. */
async function* endless(loader: Loader, from: number): AsyncGenerator<Batch, never, undefined> {
  for (let epoch = Math.floor(from / loader.stepsPerEpoch), start = from % loader.stepsPerEpoch; ; epoch++, start = 0)
    yield* loader.batches(epoch, start);
}

/** What the objective of a technique takes (see `objectiveOf`). */
async function feedsOf(context: BatchContext, batches: readonly Batch[]): Promise<Record<string, Tensor>> {
  const { model, images, settings, teachers } = context;
  const { views, needs } = techniqueOf(settings);
  const classes = images.dataset.classes.length;
  const targets = concatenate(batches.filter((_, i) => views[i]!.targets).map((batch) => batch.targets));
  const feeds: Record<string, Tensor> = { targets: float32([targets.length / classes, classes], targets) };
  if (needs.teacher) {
    const [batch] = batches as [Batch];
    const fixed = images.training === undefined && mixingOf(settings) === undefined;
    const answers = await teacherLogits(teachers, batch, settings.temperature ?? 1, fixed);
    feeds['teacher'] = float32([batch.count, classes], answers);
  }
  return { pixels: joinPixels(batches, model.preprocessing.size), ...feeds };
}

/** uint8 [sum of counts, height, width, 3]. */
function joinPixels(batches: readonly Batch[], [height, width]: readonly [number, number]): Tensor {
  const parts = batches.map((batch) =>
    batch.height === height && batch.width === width ? batch.pixels : resizePixels(batch, height, width),
  );
  const data = parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
  return { dtype: 'uint8', dims: [data.length / (height * width * 3), height, width, 3], data };
}
