/** Batches of a training: labelled images, and joined with them images without labels. */
import { createLoader, type Batch, type Loader } from '../data/loader.js';
import type { PipelineSpec } from '../augment/pipeline.js';
import type { Tensor } from '../tensor.js';
import type { BatchSource, Observer } from '../train/runner.js';
import { supervisedFeeds } from '../train/objective.js';
import { imagePipeline, mixingOf, type AugmentationSettings } from './augmentation.js';
import type { TechniqueContext } from './technique.js';

export interface LoaderChoice {
  /** Indexes into the images to learn from; default the labelled ones. */
  readonly subset?: readonly number[];
  readonly batchSize?: number;
  /** Default: as the settings vary labelled images. */
  readonly augmentation?: AugmentationSettings;
  readonly targetsOf?: (index: number) => Float32Array | undefined;
  readonly view?: string;
  /** Epochs that follow one another without a pause; default those of the training. */
  readonly epochs?: number;
  /** Classes equally often; default as the settings say. */
  readonly balance?: boolean;
}

/** A loader of a run's images, varied as its settings say. */
export function loaderOf(
  { images, model, settings, learnFrom, batchSize, epochs }: TechniqueContext,
  choice: LoaderChoice = {},
): Loader {
  const augmentation = choice.augmentation ?? settings,
    mixing = mixingOf(augmentation);
  const input = images.view ?? model.preprocessing;
  const pipeline: PipelineSpec = images.training ? imagePipeline(augmentation, input) : [];
  return createLoader({
    images: images.training ?? images.evaluation,
    classes: images.dataset.classes.length,
    batchSize: choice.batchSize ?? batchSize,
    subset: choice.subset ?? learnFrom,
    size: input.size,
    pipeline,
    ...(mixing && { mixing }),
    seed: settings.seed,
    dropLast: true,
    balance: choice.balance ?? settings.balance,
    epochs: choice.epochs ?? epochs,
    ...(choice.targetsOf && { targetsOf: choice.targetsOf }),
    ...(choice.view !== undefined && { view: choice.view }),
  });
}

/** Labelled images alone: `pixels` and `targets` of the supervised loss. */
export function labelledBatches(context: TechniqueContext): BatchSource {
  const loader = loaderOf(context);
  return {
    stepsPerEpoch: loader.stepsPerEpoch,
    async *batches(epoch, startStep) {
      for await (const batch of loader.batches(context.firstEpoch + epoch, startStep)) {
        yield { feeds: supervisedFeeds(batch), files: batch.paths, parts: [batch] };
      }
    },
  };
}

/** The batches of a loader from a step counted over all epochs on, without end. */
async function* endless(loader: Loader, from: number): AsyncGenerator<Batch, never, undefined> {
  for (let epoch = Math.floor(from / loader.stepsPerEpoch), start = from % loader.stepsPerEpoch; ; epoch++, start = 0)
    yield* loader.batches(epoch, start);
}

/**
 * Batches of several loaders side by side, in one `pixels` uint8 [sum of their counts, H, W, 3];
 * each begins again when it has been through its images. An epoch is once through the loader that
 * has most to show. `feedsOf` makes the other feeds of the batches.
 */
export function joinedBatches(
  { firstEpoch }: TechniqueContext,
  loaders: readonly Loader[],
  feedsOf: (batches: readonly Batch[]) => Readonly<Record<string, Tensor>>,
  observer?: Observer,
): BatchSource {
  const stepsPerEpoch = Math.max(...loaders.map((loader) => loader.stepsPerEpoch));
  return {
    stepsPerEpoch,
    ...(observer && { observer }),
    async *batches(epoch, startStep) {
      const from = (firstEpoch + epoch) * stepsPerEpoch;
      const streams = loaders.map((loader) => endless(loader, from + startStep));
      try {
        for (let step = startStep; step < stepsPerEpoch; step++) {
          const batches = (await Promise.all(streams.map((stream) => stream.next()))).map(({ value }) => value);
          yield {
            feeds: { pixels: joinPixels(batches), ...feedsOf(batches) },
            files: batches.flatMap(({ paths }) => paths),
            parts: batches,
          };
        }
      } finally {
        for (const stream of streams) await stream.return(undefined as never);
      }
    },
  };
}

/** uint8 [sum of counts, H, W, 3]. */
function joinPixels(batches: readonly Batch[]): Tensor {
  const data = new Uint8Array(batches.reduce((sum, { pixels }) => sum + pixels.length, 0));
  let at = 0;
  for (const { pixels } of batches) {
    data.set(pixels, at);
    at += pixels.length;
  }
  const { height, width } = batches[0]!;
  return { dtype: 'uint8', dims: [data.length / (height * width * 3), height, width, 3], data };
}
