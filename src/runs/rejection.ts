/** What a trained model learns of images of none of its classes. */
import type { Rejection } from '../models/model.js';
import { isFrozen } from '../options/option.js';
import { rejection as recipe } from '../options/recipes.js';
import { featuresOf } from '../techniques/stored-features.js';
import { fitRejection } from '../techniques/rejection.js';
import type { RunContext, TrainedModel } from './context.js';
import type { RunEvent } from './events.js';
import { indexesOf } from './images.js';
import { reporting } from './relay.js';

/**
 * The rejection of a model, from the labelled images that it learned from. A network that was trained knows these too
 * well: the limit then comes from images that were held out; where there are none, nothing is learned.
 */
export async function* learnRejection(
  { engine, images, settings, featureCache, signal }: Omit<RunContext, 'model' | 'run'>,
  { model, heldOut }: TrainedModel,
): AsyncGenerator<RunEvent, Rejection | undefined, undefined> {
  const { dataset, evaluation, split } = images;
  const frozen = isFrozen(settings.mode);
  const judges = frozen || split.selection.kind === 'folds' ? [] : some(heldOut.indexes);
  if (settings.rejection === false || model.head === undefined || (!frozen && judges.length < recipe.least))
    return undefined;
  const learned = some(indexesOf(evaluation, split.train));
  const [layer] = yield* reporting('features of what is known', 'images', (onProgress) =>
    featuresOf(engine, model, {
      images: evaluation,
      subset: [...learned, ...judges],
      cache: frozen ? featureCache : undefined,
      onProgress,
      signal,
    }),
  );
  const { features, size } = layer!;
  return fitRejection({
    features: features.subarray(0, learned.length * size),
    size,
    labels: learned.map((index) => evaluation.samples[index]!.label),
    classes: dataset.classes.length,
    heldOut: judges.length > 0 ? features.subarray(learned.length * size) : undefined,
  });
}

/** At most so many as are looked at, taken evenly. */
const some = (indexes: readonly number[]): readonly number[] =>
  indexes.length <= recipe.most
    ? indexes
    : Array.from({ length: recipe.most }, (_, i) => indexes[Math.floor((i * indexes.length) / recipe.most)]!);
