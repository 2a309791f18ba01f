/** What a trained model learns of images of none of its classes. */
import type { PreparedImages } from '../data/prepare.js';
import type { Engine } from '../engine/engine.js';
import type { Model, Rejection } from '../models/model.js';
import { isFrozen } from '../options/option.js';
import { rejection as recipe } from '../options/recipes.js';
import { featuresOf } from '../techniques/stored-features.js';
import { fitRejection } from '../techniques/rejection.js';
import type { RunContext, TrainedModel } from './context.js';
import type { RunEvent } from './events.js';
import { earlierLayers } from './features.js';
import { indexesOf } from './images.js';
import { reporting } from './relay.js';

/** The rejection of a model that a run trained; undefined where it is not wanted or cannot be learned. */
export async function* learnRejection(
  { engine, images, settings, featureCache, signal }: Omit<RunContext, 'model' | 'run'>,
  { model, heldOut }: TrainedModel,
): AsyncGenerator<RunEvent, Rejection | undefined, undefined> {
  const { dataset, evaluation, split } = images;
  if (settings.rejection === false) return undefined;
  return yield* rejectionOf(engine, model, {
    images: evaluation,
    learned: indexesOf(evaluation, split.train),
    judges: split.selection.kind === 'folds' ? [] : heldOut.indexes,
    classes: dataset.classes.length,
    isFrozen: isFrozen(settings.mode),
    cache: featureCache,
    signal,
  });
}

export interface RejectionImages {
  readonly images: PreparedImages;
  /** Indexes of images that the model learned from, and of others of its classes. */
  readonly learned: readonly number[];
  readonly judges: readonly number[];
  readonly classes: number;
  /** Whether only the last layer was trained. */
  readonly isFrozen: boolean;
  /** The folder where features of a frozen network are kept. */
  readonly cache?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The rejection of a model, from the labelled images that it learned from. A network that was trained knows these too
 * well: the limit then comes from images that were held out; where there are too few, nothing is learned.
 */
export async function* rejectionOf(
  engine: Engine,
  model: Model,
  { images, learned: all, judges: others, classes, isFrozen, cache, signal }: RejectionImages,
): AsyncGenerator<RunEvent, Rejection | undefined, undefined> {
  const learned = some(all),
    judges = isFrozen ? [] : some(others);
  if (model.head === undefined || (isFrozen ? learned : judges).length < recipe.least) return undefined;
  const [layer] = yield* reporting('features of labelled images', 'images', (onProgress) =>
    featuresOf(engine, model, {
      images,
      subset: [...learned, ...judges],
      earlier: earlierLayers(model),
      cache: isFrozen ? cache : undefined,
      onProgress,
      signal,
    }),
  );
  const { features, size } = layer!;
  return fitRejection({
    features: features.subarray(0, learned.length * size),
    size,
    labels: learned.map((index) => images.samples[index]!.label),
    classes,
    heldOut: judges.length > 0 ? features.subarray(learned.length * size) : undefined,
  });
}

/** At most so many as are looked at, taken evenly. */
const some = (indexes: readonly number[]): readonly number[] =>
  indexes.length <= recipe.most
    ? indexes
    : Array.from({ length: recipe.most }, (_, i) => indexes[Math.floor((i * indexes.length) / recipe.most)]!);
